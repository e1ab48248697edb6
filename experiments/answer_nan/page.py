"""The answer's NaN in tables and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from jointdec.reporting.experiment import write_section

BEGIN, END = "<!-- results: written by answer_nan.py -->", "<!-- end of results -->"
COLORS = ("#E69F00", "#0072B2", "#009E73", "#D55E00")  # of alphas; Okabe and Ito
Trials = Sequence[Mapping[str, Any]]
Watched = Sequence[Mapping[str, float]]


def write(trials: Trials, watched: Watched, folder: Path) -> None:
    """The results' tables, the figure and the README's part."""
    text = "\n".join(
        [*long_lines(trials), "", *grid_table(trials), "", *watched_table(watched), "", zero_line(watched)]
    )
    (folder / "results/tables.md").write_text(text + "\n", encoding="utf-8")
    draw(trials, watched, folder / "results/answer_nan.png")
    print(text)
    write_section(text, folder / "README.md", BEGIN, END)


def long_lines(trials: Trials) -> list[str]:
    """The answer as it was given, for longer."""
    long = [trial for trial in trials if trial["study"] == "long"]
    bad = [trial for trial in long if trial["nan_step"] is not None]
    share = stats.binomtest(len(bad), len(long)).proportion_ci(0.95, "exact")
    steps = max(trial["steps"] for trial in long)
    right = [100 * trial["atoms_right"] for trial in long if trial["nan_step"] is None]
    lines = [
        f"**As it was given** (alpha 0.2, rate 0.001): {len(bad)} of {len(long)} seeds reach NaN in {steps:,} steps "
        f"(95 % interval of the share: {share.low:.0%} to {share.high:.0%}, Clopper and Pearson)."
    ]
    lines += [f"- seed {t['seed']}: step {t['nan_step']:,}, {t['nan_tensor']}, {t['nan_cause']}" for t in bad]
    if right:
        lines.append(
            f"Of the others' held-out atoms {np.mean(right):.1f} % are right at the end "
            f"({min(right):.1f} to {max(right):.1f} %)."
        )
    return lines


def grid_table(trials: Trials) -> list[str]:
    """Alpha by learning rate: how many seeds went NaN and when, and how many atoms the others get right."""
    grid = [trial for trial in trials if trial["study"] == "grid"]
    rates = sorted({trial["rate"] for trial in grid})
    steps = max(trial["steps"] for trial in grid)
    lines = [
        f"**NaN within {steps:,} steps**: seeds, steps, first tensor; and held-out atoms right where there is none.",
        "",
        f"| alpha | {' | '.join(f'rate {rate:g}' for rate in rates)} |",
        f"|---|{'---|' * len(rates)}",
    ]
    for alpha in sorted({trial["alpha"] for trial in grid}):
        here = [[t for t in grid if (t["alpha"], t["rate"]) == (alpha, rate)] for rate in rates]
        lines.append(f"| {alpha:g} | {' | '.join(map(_cell, here))} |")
    return lines


def _cell(trials: Trials) -> str:
    bad = [trial for trial in trials if trial["nan_step"] is not None]
    fine = [100 * trial["atoms_right"] for trial in trials if trial["nan_step"] is None]
    words = []
    if bad:
        steps = sorted(trial["nan_step"] for trial in bad)
        tensors = ", ".join(sorted({trial["nan_tensor"] for trial in bad}))
        when = f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,}"
        words.append(f"**{len(bad)} of {len(trials)}**, step {when}, {tensors}")
    if fine:
        words.append(f"{np.mean(fine):.0f} % right ({min(fine):.0f} to {max(fine):.0f})")
    return "; ".join(words)


def watched_table(watched: Watched) -> list[str]:
    """What becomes of the atoms' gradients, means over the seeds."""
    steps = sorted({row["step"] for row in watched})
    shown = [steps[place] for place in sorted({0, 1, len(steps) // 2, len(steps) - 1})]
    lines = [
        "**Before any NaN**, % of training atoms: right / wrong without any gradient / right without any gradient.",
        "",
        f"| alpha | {' | '.join(f'step {step:,.0f}' for step in shown)} |",
        f"|---|{'---|' * len(shown)}",
    ]
    for alpha in sorted({row["alpha"] for row in watched}):
        cells = []
        for step in shown:
            here = [row for row in watched if (row["alpha"], row["step"]) == (alpha, step)]
            names = ("right", "no_gradient_wrong", "no_gradient_right")
            cells.append(" / ".join(f"{100 * np.mean([row[name] for row in here]):.0f}" for name in names))
        lines.append(f"| {alpha:g} | {' | '.join(cells)} |")
    return lines


def zero_line(watched: Watched) -> str:
    """How often the sum is 0 that the answer divides by."""
    sums, near, zero = (sum(row[name] for row in watched) for name in ("sums", "near_zero", "zero"))
    return (
        f"Of {sums:,.0f} sums of an atom's outputs looked at, {near:,.0f} are within 0.001 of 0, and {zero:,.0f} are 0."
    )


def draw(trials: Trials, watched: Watched, file: Path) -> None:
    """Atoms right and atoms without a gradient over the steps; atoms right over the rate."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    right, still, rates = figure.subplots(1, 3)
    alphas = sorted({row["alpha"] for row in watched})
    for alpha, color in zip(alphas, COLORS, strict=False):
        here = [row for row in watched if row["alpha"] == alpha]
        label = f"alpha {alpha:g}"
        _over_steps(right, here, lambda row: row["right"], color, label)
        _over_steps(still, here, lambda row: row["no_gradient_wrong"] + row["no_gradient_right"], color, label)
        ends = [t for t in trials if t["study"] == "grid" and t["alpha"] == alpha and t["nan_step"] is None]
        rates.plot([t["rate"] for t in ends], [100 * t["atoms_right"] for t in ends], "o", color=color, alpha=0.6)
    right.set_ylabel("training atoms right, %")
    still.set_ylabel("training atoms without any gradient, %")
    rates.set_ylabel("held-out atoms right at the end, %")
    rates.set_xlabel("learning rate")
    rates.set_xscale("log")
    for axes in (right, still):
        axes.set_xlabel("step")
    for axes in (right, still, rates):
        axes.set_ylim(0, 100)
        axes.grid(alpha=0.25)
    right.legend(fontsize=8)
    figure.savefig(file, dpi=130)


def _over_steps(axes: Axes, rows: Watched, value: Any, color: str, label: str) -> None:  # noqa: ANN401 (of a row)
    for seed in sorted({row["seed"] for row in rows}):
        here = [row for row in rows if row["seed"] == seed]
        axes.plot(
            [row["step"] for row in here], [100 * value(row) for row in here], color=color, alpha=0.8, label=label
        )
        label = "_"  # one entry of the legend for all seeds
