"""A row of the results: repeated measurements of one thing, their median and their spread."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from contenders import CONTENDERS
from problem import Round

COLUMNS = (
    *("question", "name", "batch", "molecules", "unit", "median", "lower_quartile", "upper_quartile", "lowest"),
    *("highest", "measurements", "ratio_to_compiled", "first_epoch_loss", "missing"),
)


@dataclass(frozen=True)
class Row:
    """One line of table.csv.

    Attributes:
        question: steps, growth, start or memory.
        name: the contender, or what was started.
        unit: of the values: ms/step, s or MiB.
        values: one a round or a repetition, in their order; empty where there is something missing.
        batch, molecules: of the problem, where there is one.
        reference: the values of training=compiled in the same rounds.
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
        """Median over the rounds of value / training=compiled's value in the same round."""
        return float(np.median(np.divide(self.values, self.reference))) if self.values and self.reference else None

    @property
    def label(self) -> str:
        """The name for people."""
        return CONTENDERS[self.name].label if self.name in CONTENDERS else self.name


def step_rows(question: str, batch: int, molecules: int, measured: dict[str, list[Round] | str]) -> list[Row]:
    """Rows of contenders that were measured side by side; the first round, which compiles, is left out."""
    reference = measured["compiled"]
    assert not isinstance(reference, str)
    compiled = [r.ms_per_step for r in reference[1:]]
    rows = []
    for name, rounds in measured.items():
        if isinstance(rounds, str):
            rows.append(Row(question, name, "ms/step", (), batch, molecules, missing=rounds))
            continue
        values = [r.ms_per_step for r in rounds[1:]]
        loss = None if np.isnan(rounds[0].loss) else rounds[0].loss
        rows.append(Row(question, name, "ms/step", values, batch, molecules, compiled, loss))
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
