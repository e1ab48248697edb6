"""The figure: what the weights do to each head, and the front of atoms against pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tables import Rows, cases, interval, seeds_of, values

HEADS = {"val/node_accuracy": ("atoms", "#0072B2", "o"), "val/edge_accuracy": ("pairs", "#D55E00", "s")}
STYLES = (":", "-", "--")  # of alphas


def draw(rows: Rows, file: Path) -> None:
    """A column for each network and optimizer: accuracies over the weight above, the front below."""
    columns = cases(rows)
    figure = Figure(figsize=(3.4 * len(columns), 6.4), layout="constrained")
    axes = figure.subplots(2, len(columns), squeeze=False)
    for above, below, case in zip(axes[0], axes[1], columns, strict=True):
        above.set_title(f"{case[0]}, {case[1]}")
        for style, alpha in zip(STYLES, values(rows, "alpha"), strict=False):
            for metric in HEADS:
                _over_weights(above, rows, case, alpha, metric, style)
            _front(below, rows, case, alpha, style)
        above.set_xscale("log")
        above.set_xlabel("weight of the bonds' loss")
        below.set_xlabel("atoms right, %")
    axes[0, 0].set_ylabel("right on validation, %")
    axes[1, 0].set_ylabel("pairs right, %")
    axes[0, 0].legend(fontsize=7)
    axes[1, 0].legend(fontsize=7, title="alpha; larger marks, larger weights", title_fontsize=7)
    figure.savefig(file, dpi=150)


def _over_weights(  # noqa: PLR0913, PLR0917 (one line of one panel)
    axes: Axes, rows: Rows, case: tuple[str, str], alpha: float, metric: str, style: str
) -> None:
    name, color, marker = HEADS[metric]
    points = []
    for weight in values(rows, "weight"):
        sample = [100 * value for value in seeds_of(rows, case, weight, alpha, metric).values()]
        if len(sample) == len(values(rows, "seed")):  # a mean over the seeds that did not diverge would flatter
            points.append((weight, *interval(sample)))
    if points:
        weights, means, halves = np.array(points).T
        axes.plot(weights, means, style, color=color, marker=marker, markersize=3, label=f"{name}, alpha {alpha:g}")
        if np.isfinite(halves).all():
            axes.fill_between(weights, means - halves, means + halves, color=color, alpha=0.12, linewidth=0)


def _front(axes: Axes, rows: Rows, case: tuple[str, str], alpha: float, style: str) -> None:
    points = []
    for weight in values(rows, "weight"):
        atoms, pairs = (seeds_of(rows, case, weight, alpha, metric) for metric in HEADS)
        if len(atoms) == len(values(rows, "seed")):
            points.append((100 * np.mean(list(atoms.values())), 100 * np.mean(list(pairs.values())), weight))
    if points:
        atoms_right, pairs_right, weights = np.array(points).T
        axes.plot(atoms_right, pairs_right, style, color="#555555", linewidth=1, label=f"{alpha:g}")
        axes.scatter(
            atoms_right, pairs_right, s=12 + 14 * np.log1p(weights), color="#009E73", edgecolor="black", zorder=3
        )
