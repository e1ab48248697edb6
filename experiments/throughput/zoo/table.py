"""The results of foreign.py as CSV and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from aims import Verdict
from contenders import FOREIGN
from report import machine_line, spread, verdict_lines
from rows import Row

from zoo.judged import faster_tuned, later

BEGIN, END = "<!-- foreign: written by foreign.py -->", "<!-- end of foreign -->"
COLUMNS = (
    *("question", "model", "contender", "rows", "unit", "median", "lower_quartile", "upper_quartile", "ratio"),
    *("ratio_lower_quartile", "ratio_upper_quartile", "measurements", "first_epoch_loss", "missing"),
)
AGAINST = ("fit", "tuned", "tuned_xla", "torch_eager", "torch_whole", "jax")


def cells(row: Row) -> dict[str, object]:
    """A line of foreign.csv; ``ratio`` is over jointdec.fit in the same round."""
    values = np.percentile(row.values, (50, 25, 75)) if row.values else ("",) * 3
    ratios = np.percentile(row.ratios, (50, 25, 75)) if row.ratios else ("",) * 3
    last = (len(row.values), "" if row.loss is None else row.loss, row.missing)
    line = (row.question, row.model, row.name, row.size, row.unit, *values, *ratios, *last)
    return {
        column: f"{value:.6g}" if isinstance(value, float) else value
        for column, value in zip(COLUMNS, line, strict=True)
    }


def markdown(rows: Sequence[Row], verdicts: Sequence[Verdict], machine: Mapping[str, object]) -> str:
    """All tables."""
    lines = [machine_line(machine), "", *_steps(rows), "", *_starts(rows), "", *_streaming(rows), ""]
    return "\n".join(lines + verdict_lines(verdicts)) + "\n"


def _steps(rows: Sequence[Row]) -> list[str]:
    steps = [row for row in rows if row.question == "steps"]
    models = list(dict.fromkeys(row.model for row in steps))
    lines = [f"{steps[0].size:,} rows, batch 50, {max(len(row.values) for row in steps)} rounds", ""]
    titles = " | ".join(FOREIGN[name].label for name in AGAINST)
    lines += [f"| x jointdec.fit (quartiles) | jointdec.fit, ms/step | {titles} |", "|---" * (2 + len(AGAINST)) + "|"]
    for model in models:
        by_name = {row.name: row for row in steps if row.model == model}
        ours, best = by_name["jointdec"], faster_tuned(steps, model)
        others = [_ratio(by_name[name], bold=name == best) for name in AGAINST if name in by_name]
        lines.append(f"| {model} | {ours.median:.3f} ({spread(ours.values, 3)}) | {' | '.join(others)} |")
    return [*lines, "", "Bold: the faster of the two tuned fits, which counts."]


def _ratio(row: Row, *, bold: bool) -> str:
    if row.missing:
        return row.missing
    ratio = f"{row.ratio:.2f}"
    return f"{f'**{ratio}**' if bold else ratio} ({spread(row.ratios, 2)})"


def _starts(rows: Sequence[Row]) -> list[str]:
    starts = [row for row in rows if row.question == "start"]
    lines = ["| process until the end of its first epoch | jointdec.fit | fit | later by |", "|---|---|---|---|"]
    for model in dict.fromkeys(row.model for row in starts):
        ours, theirs = (row for row in starts if row.model == model)
        lines.append(f"| {model} | {ours.median:.2f} s | {theirs.median:.2f} s | {later(rows, model):.2f} s |")
    return lines


def _streaming(rows: Sequence[Row]) -> list[str]:
    lines = ["| data | in memory, ms/step | a quarter in memory | share of the speed |", "|---|---|---|---|"]
    for row in rows:
        if (row.question, row.name) == ("streaming", "streamed"):
            fits = f"| {row.model}, {row.size:,} rows | {np.median(row.reference):.3f}"
            share = np.divide(row.reference, row.values).tolist() if row.values else []
            text = f"{row.median:.3f} | {np.median(share):.2f} ({spread(share, 2)})" if share else f"{row.missing} | "
            lines.append(f"{fits} | {text} |")
    return lines
