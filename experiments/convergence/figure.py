"""One figure: the training loss over epochs, steps and seconds above, every level's validation loss below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from curves import TENTHS
from effects import BUDGETS, Effect, Runs, epochs_at, loss_effects
from levels import REFERENCE, Level
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SHOWN = {  # colours of Okabe and Ito, which the colour-blind can tell apart
    "reference": "#000000",
    "he_normal": "#009E73",
    "whiten": "#56B4E9",
    "diffusion": "#0072B2",
    "batch_20": "#E69F00",
    "batch_300": "#D55E00",
    "as_tf1": "#CC79A7",
}
UNITS = {"epochs": "epochs", "steps": "thousand steps", "seconds": "seconds, in epochs of the reference"}


def draw(runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float], file: Path) -> None:
    """Write the figure."""
    figure = Figure(figsize=(13, 10.5), layout="constrained")
    above, below = figure.subplots(2, len(BUDGETS), height_ratios=(1, 1.35))
    found = loss_effects(runs, levels, ratios)
    for column, budget in enumerate(BUDGETS):
        _curves(above[column], runs, levels, ratios, budget)
        _effects(below[column], found[budget], levels)
        below[column].set_title(f"held-out loss at equal {budget}", fontsize=10)
    above[0].set_ylabel("training loss")
    above[0].legend(fontsize=8)
    for axes in below[1:]:
        axes.set_yticklabels([])
    figure.savefig(file, dpi=130)


def _curves(axes: Axes, runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float], budget: str) -> None:
    reference = runs[REFERENCE.name][0]
    scale = reference.steps_per_epoch * reference.epochs / 1000 if budget == "steps" else reference.epochs
    for level in levels:
        if level.name not in SHOWN:
            continue
        curves = runs[level.name]
        train = np.array([curve.train for curve in curves])
        cost = epochs_at(budget, curves[0], reference, ratios[level.name])
        x = np.arange(1, train.shape[1] + 1) / TENTHS / cost * scale
        color = SHOWN[level.name]
        axes.plot(x, np.median(train, axis=0), color=color, linewidth=1.6, label=level.label)
        axes.fill_between(x, train.min(0), train.max(0), color=color, alpha=0.2, linewidth=0)
    axes.set_xlim(0, scale)
    axes.set_yscale("log")
    axes.set_yticks([0.2, 0.3, 0.5, 1.0], ["0.2", "0.3", "0.5", "1"], minor=False)
    axes.minorticks_off()
    axes.set_ylim(0.12, 1.3)
    axes.set_xlabel(UNITS[budget])
    axes.grid(alpha=0.25)


def _effects(axes: Axes, found: Mapping[str, Effect], levels: Sequence[Level]) -> None:
    shown = [level for level in levels if level.name in found]
    for place, level in enumerate(reversed(shown)):
        effect = found[level.name]
        mean = 100 * math.expm1(effect.difference.mean)
        low, high = (100 * math.expm1(bound) for bound in (effect.low, effect.high))
        color = ("#0072B2" if mean < 0 else "#D55E00") if effect.holds else "#888888"
        axes.barh(place, mean, color=color, height=0.7, alpha=0.85)
        if math.isfinite(low):
            axes.plot([low, high], [place, place], color="black", linewidth=1)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [level.label for level in reversed(shown)], fontsize=8)
    axes.set_xlabel("against the reference, %")
    axes.grid(axis="x", alpha=0.25)
