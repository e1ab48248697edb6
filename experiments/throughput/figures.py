"""The results as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from floor import floor_ms
from matplotlib.figure import Figure
from rows import Row, find

from jointdec.problems.molecules.config import ModelConfig

OURS, THEIRS, FLOOR = "#0b6e4f", "#8a93a6", "#c8553d"
NAMES_OF_OURS = ("compiled", "bare", "loop")


def draw(rows: Sequence[Row], model: ModelConfig, folder: Path) -> None:
    """Write steps.png and growth.png."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 120}):
        steps_figure(rows, model).savefig(folder / "steps.png")
        growth_figure(rows).savefig(folder / "growth.png")


def steps_figure(rows: Sequence[Row], model: ModelConfig) -> Figure:
    """A panel a batch size, a bar a contender, the quartiles as a line, the floor across."""
    measured = [row for row in rows if row.question == "steps" and row.values]
    batches = list(dict.fromkeys(row.batch for row in measured))
    names = list(dict.fromkeys(row.name for row in measured if row.name != "matmul"))
    figure = Figure(figsize=(4 + 2.7 * len(batches), 3.8), layout="constrained")
    for axes, batch in zip(figure.subplots(1, len(batches), sharey=True, squeeze=False)[0], batches, strict=True):
        shown = [find(rows, "steps", name, batch) for name in names]
        for place, row in enumerate(shown):
            if row is None:
                continue
            lower, upper = row.quartiles
            axes.barh(place, row.median, color=OURS if row.name in NAMES_OF_OURS else THEIRS)
            axes.plot([lower, upper], [place, place], color="black", linewidth=1)
            axes.text(max(upper, row.median), place, f" {row.median:.2f}", va="center", fontsize=7.5)
        matmul = find(rows, "steps", "matmul", batch)
        if matmul and batch:
            axes.axvline(floor_ms(model, batch, matmul.median), color=FLOOR, linestyle="--", label="arithmetic alone")
        axes.margins(x=0.15)
        axes.set(title=f"batch {batch}", xlabel="ms per optimizer step")
        axes.set_yticks(range(len(names)), [row.label if row else "" for row in shown])
    axes.invert_yaxis()
    axes.legend(loc="lower right", frameon=False, fontsize=7.5)
    return figure


def growth_figure(rows: Sequence[Row]) -> Figure:
    """Time of a step over the size of the data set, a line a batch size, relative to the smallest set."""
    growth = [row for row in rows if row.question == "growth"]
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for batch, colour in zip(dict.fromkeys(row.batch for row in growth), (OURS, FLOOR), strict=False):
        line = [row for row in growth if row.batch == batch]
        sizes, base = [row.molecules or 0 for row in line], line[0].median
        axes.plot(sizes, [row.median / base for row in line], "o-", color=colour, label=f"batch {batch}")
        for size, row in zip(sizes, line, strict=True):
            axes.plot([size] * 2, [quartile / base for quartile in row.quartiles], color=colour, linewidth=1)
    axes.set(xscale="log", xlabel="molecules in the data set", ylabel="ms per step, over the smallest set's")
    axes.set_ylim(0, None)
    axes.legend(frameon=False)
    return figure
