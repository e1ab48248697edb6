"""A row of the results: repeated measurements of one thing, their median and their spread."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from contender import Round
from contenders import ENTRIES

COLUMNS = (
    *("question", "name", "batch", "molecules", "unit", "median", "lower_quartile", "upper_quartile", "lowest"),
    *("highest", "measurements", "ratio_to_compiled", "first_epoch_loss", "missing"),
)


@dataclass(frozen=True)
class Row:
    """One line of table.csv or foreign.csv.

    Attributes:
        question: steps, growth, start, memory or streaming.
        name: the contender, or what was started.
        unit: of the values: ms/step, s or MiB.
        values: one a round or a repetition, in their order; empty where there is something missing.
        batch, molecules: of the problem, where there is one.
        model, size: which of zoo/, and the rows of its data.
        reference: the values of jointdec in the same rounds.
        loss: mean over the first epoch.
        missing: what the machine lacks.
    """

    question: str
    name: str
    unit: str
    values: Sequence[float]
    batch: int | None = None
    molecules: int | None = None
    reference: Sequence[float] = field(default=(), repr=False)
    loss: float | None = None
    missing: str = ""
    model: str = ""
    size: int | None = None

    @property
    def median(self) -> float:
        """Median of the values."""
        return float(np.median(self.values))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Half of the values lie between these."""
        lower, upper = np.percentile(self.values, (25, 75))
        return float(lower), float(upper)

    @property
    def ratio(self) -> float | None:
        """Median of the ratios."""
        return float(np.median(self.ratios)) if self.ratios else None

    @property
    def ratios(self) -> list[float]:
        """By round, value / jointdec's value; empty where there is none."""
        both = self.values and self.reference
        return np.divide(self.values, self.reference).tolist() if both else []

    @property
    def label(self) -> str:
        """The name for people."""
        return ENTRIES[self.name].label if self.name in ENTRIES else self.name


def step_rows(
    measured: dict[str, list[Round] | str],
    reference: str,
    **common: Any,  # noqa: ANN401 (fields of Row)
) -> list[Row]:
    """Rows of contenders that were measured side by side; the first round, which compiles, is left out."""
    ours = measured[reference]
    assert not isinstance(ours, str)
    against = [r.ms_per_step for r in ours[1:]]
    rows = []
    for name, rounds in measured.items():
        if isinstance(rounds, str):
            rows.append(Row(name=name, unit="ms/step", values=(), missing=rounds, reference=against, **common))
            continue
        values = [r.ms_per_step for r in rounds[1:]]
        loss = None if np.isnan(rounds[0].loss) else rounds[0].loss
        rows.append(Row(name=name, unit="ms/step", values=values, reference=against, loss=loss, **common))
    return rows


def find(rows: Sequence[Row], question: str, name: str, batch: int | None = None) -> Row | None:
    """The row, if it was measured."""
    for row in rows:
        if (row.question, row.name, row.batch) == (question, name, batch) and row.values:
            return row
    return None


def write_csv(rows: Sequence[Row], file: Path) -> None:
    """One line a row, columns COLUMNS."""
    with file.open("w", newline="", encoding="utf-8") as out:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(COLUMNS)
        for row in rows:
            spread = (row.median, *row.quartiles, min(row.values), max(row.values)) if row.values else ("",) * 5
            cells = (row.question, row.name, row.batch, row.molecules, row.unit, *spread, len(row.values))
            table.writerow([_cell(value) for value in (*cells, row.ratio, row.loss, row.missing)])


def _cell(value: object) -> object:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else value
