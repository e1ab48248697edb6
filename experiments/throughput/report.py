"""The results as Markdown: into table.md, and into the README between its two markers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from aims import Verdict
from floor import MATMUL_FLOPS, floor_ms, step_flops
from rows import Row, find

from jointdec.problems.molecules.config import ModelConfig

BEGIN, END = "<!-- results: written by throughput.py -->", "<!-- end of results -->"


def markdown(
    rows: Sequence[Row], verdicts: Sequence[Verdict], machine: Mapping[str, object], model: ModelConfig
) -> str:
    """All tables."""
    steps = [row for row in rows if row.question == "steps"]
    batches = list(dict.fromkeys(row.batch for row in steps if row.batch is not None))
    lines = [machine_line(machine), ""]
    for batch in batches:
        lines += [*_steps([row for row in steps if row.batch == batch], model, batch), ""]
    lines += ["| data set | batch | ms/step | quartiles | against the smallest |", "|---|---|---|---|---|"]
    growth = [row for row in rows if row.question == "growth"]
    for row in growth:
        smallest = next(other for other in growth if other.batch == row.batch)
        against = row.median / smallest.median
        lines.append(
            f"| {row.molecules:,} | {row.batch} | {row.median:.3f} | {spread(row.values, 3)} | {against:.2f} |"
        )
    lines += ["", "| process | median | lowest to highest |", "|---|---|---|"]
    for row in rows:
        if row.question in ("start", "memory"):
            digits = 2 if row.unit == "s" else 0
            extremes = f"{min(row.values):.{digits}f} to {max(row.values):.{digits}f}"
            lines.append(f"| {row.question}: {row.name} | {row.median:.{digits}f} {row.unit} | {extremes} |")
    return "\n".join([*lines, "", *verdict_lines(verdicts)]) + "\n"


def machine_line(machine: Mapping[str, object]) -> str:
    """What was measured on, in one line."""
    versions = machine["versions"]
    assert isinstance(versions, dict)
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    accelerators = machine["accelerators"]
    assert isinstance(accelerators, list)
    where += "".join(f", {name}" for name in accelerators)
    return f"{where}; Python {machine['python']}, " + ", ".join(f"{k} {v}" for k, v in versions.items()) + "."


def _steps(rows: Sequence[Row], model: ModelConfig, batch: int) -> list[str]:
    lines = [f"**Batch {batch}**, {rows[0].molecules:,} molecules, {len(rows[0].values)} rounds", ""]
    lines += ["| contender | ms/step | quartiles | x jointdec | first epoch's loss |", "|---|---|---|---|---|"]
    for row in rows:
        if row.name == "matmul":
            continue
        if row.missing:
            lines.append(f"| {row.label} | {row.missing} | | | |")
        else:
            lines.append(
                f"| {row.label} | {row.median:.3f} | {spread(row.values, 3)} | {row.ratio:.2f} | {row.loss:.5f} |"
            )
    matmul, compiled = find(rows, "steps", "matmul", batch), find(rows, "steps", "compiled", batch)
    if matmul and compiled:
        floor = floor_ms(model, batch, matmul.median)
        rate = MATMUL_FLOPS / matmul.median / 1e6
        what = f"floor: {step_flops(model, batch) / 1e6:,.0f} MFLOP at {rate:,.0f} GFLOP/s"
        lines.append(f"| {what} | {floor:.3f} | | {floor / compiled.median:.2f} | |")
    return lines


def spread(values: Sequence[float], digits: int) -> str:
    """The two quartiles."""
    lower, upper = np.percentile(values, (25, 75))
    return f"{lower:.{digits}f} to {upper:.{digits}f}"


def verdict_lines(verdicts: Sequence[Verdict]) -> list[str]:
    """The table of the aims."""
    return ["| aim | measured | limit | |", "|---|---|---|---|", *map(_verdict, verdicts)]


def _verdict(verdict: Verdict) -> str:
    measured = "" if verdict.measured is None else f"{verdict.measured:.3g}{verdict.unit}"
    limit = f"{'at most' if verdict.at_most else 'at least'} {verdict.limit:g}{verdict.unit}"
    return f"| {verdict.aim} | {measured} | {limit} | {verdict.word} |"
