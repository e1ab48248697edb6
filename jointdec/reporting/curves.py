"""The picture of one run: losses, accuracies and the gradient's norm over the optimizer steps.

Drawn with matplotlib's objects alone: no pyplot, so no global state and no display. The colours are Okabe &
Ito's (2008), made for the colour-blind; line styles and markers tell the curves apart in black and white.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from jointdec.training.result import EpochResult, diverged_at

Values = npt.NDArray[np.float64]

BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
LOSSES: dict[str, dict[str, Any]] = {
    "loss": {"label": "total", "color": BLACK, "linestyle": "-", "marker": "o"},
    "nodes": {"label": "nodes", "color": BLUE, "linestyle": "--", "marker": "s"},
    "edges": {"label": "edges", "color": VERMILLION, "linestyle": "-.", "marker": "^"},
}
ACCURACIES: dict[str, dict[str, Any]] = {
    "node_accuracy": {"label": "atoms", "color": BLUE, "linestyle": "--", "marker": "s"},
    "edge_accuracy": {"label": "pairs", "color": VERMILLION, "linestyle": "-.", "marker": "^"},
    "exact": {"label": "whole molecules", "color": GREEN, "linestyle": "-", "marker": "D"},
}
MARKERS = 25  # at most so many markers on a curve: more hide it
LINEAR_UP_TO = 100  # losses of both signs are drawn on a linear axis as long as none is larger than this


def curves_figure(results: Sequence[EpochResult], title: str) -> Figure:
    """Draw a run's learning curves.

    Values that are not finite leave a gap; the first step with one is marked in every panel.

    Args:
        results: the epochs in their order; a resumed run may begin later than epoch 0.
        title: what stands above.

    Returns:
        A figure of 10 x 9 inches at 150 dots per inch; ``figure.savefig(path)`` writes it.

    Raises:
        ValueError: there is no epoch.
    """
    if not results:
        raise ValueError("A run without an epoch has no curves.")
    figure = Figure(figsize=(10, 9), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, fontweight="bold")
    losses, accuracies, norms = figure.subplots(3, 1, sharex=True, height_ratios=(2, 1.2, 1))
    curves = _Curves(results)
    _draw_losses(losses, curves)
    _draw_accuracies(accuracies, curves)
    _draw_norms(norms, curves)
    norms.set_xlabel("optimizer step")
    norms.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    _add_epoch_axis(norms, results)
    for axes in (losses, accuracies, norms):
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    _mark_divergence((losses, accuracies, norms), results)
    figure.align_ylabels()
    return figure


def smooth(values: Values, window: int) -> Values:
    """Centred mean of the finite values among ``window`` steps; NaN where the step itself is not finite.

    The window grows from 1 at the first step, so that a steep start is not flattened; the end cuts it off.

    Args:
        values: (steps,).
        window: an odd number of steps.
    """
    finite, half = np.isfinite(values), window // 2
    kept = np.where(finite, values, 0.0)
    box = np.ones(window)
    total = np.convolve(np.pad(kept, half), box, "valid")
    count = np.convolve(np.pad(finite.astype(float), half), box, "valid")
    for step in range(min(half, len(values))):
        total[step], count[step] = kept[: 2 * step + 1].sum(), finite[: 2 * step + 1].sum()
    return np.where(finite, total / np.maximum(count, 1), np.nan)


class _Curves:
    """The epochs' numbers, one after the other, with NaN for everything that is not finite."""

    def __init__(self, results: Sequence[EpochResult]) -> None:
        self.step = np.concatenate([result.step_numbers for result in results])
        self.epoch_end = np.array([result.step_numbers[-1] + 1 for result in results])
        self.steps = {name: finite(np.concatenate([r.steps[name] for r in results])) for name in results[0].steps}
        self.val = {name: finite(np.array([r.val[name] for r in results])) for name in results[0].val}
        self.window = len(self.step) // 200 * 2 + 1
        every = -(-len(results) // MARKERS)
        self.markevery = ((len(results) - 1) % every, every)  # the last epoch has its marker


def finite(values: Values) -> Values:
    """The values, with NaN for everything that is not finite."""
    return np.where(np.isfinite(values), values, np.nan)


def _draw_losses(axes: Any, curves: _Curves) -> None:  # noqa: ANN401 (matplotlib has no types)
    for name, style in LOSSES.items():
        line = {key: style[key] for key in ("color", "linestyle")}
        axes.plot(curves.step, curves.steps[name], color=style["color"], linewidth=0.5, alpha=0.3)
        axes.plot(curves.step, smooth(curves.steps[name], curves.window), linewidth=1.6, **line)
        _draw_validation(axes, curves, name, style)
    axes.set_ylabel("loss")
    set_loss_scale(axes, np.concatenate([part[name] for part in (curves.steps, curves.val) for name in LOSSES]))
    window = f"mean of {curves.window} steps" if curves.window > 1 else "each step"
    _legend_beside(axes, LOSSES, f"line: training,\n{window}\nmarker: validation")


def _draw_accuracies(axes: Any, curves: _Curves) -> None:  # noqa: ANN401
    for name, style in ACCURACIES.items():
        _draw_validation(axes, curves, name, style)
    axes.set_ylim(-0.03, 1.03)
    axes.set_ylabel("validation: share right")
    _legend_beside(axes, ACCURACIES, "after the epoch")


def _draw_norms(axes: Any, curves: _Curves) -> None:  # noqa: ANN401
    norms = curves.steps["grad_norm"]
    axes.plot(curves.step, norms, color=BLACK, linewidth=0.5, alpha=0.3)
    axes.plot(curves.step, smooth(norms, curves.window), color=BLACK, linewidth=1.6, **dots(norms))
    axes.set_ylabel("gradient's 2-norm")
    set_positive_log(axes, norms)


def dots(values: Values) -> dict[str, Any]:
    """A marker for a curve that is too short to be a line."""
    return {"marker": "o", "markersize": 4} if np.isfinite(values).sum() < 10 else {}


def set_loss_scale(axes: Any, losses: Values) -> None:  # noqa: ANN401
    """A log axis where all finite losses are positive, a symmetric one where they are large and of both signs."""
    kept = losses[np.isfinite(losses)]
    if kept.size and kept.min() > 0:
        _set_log(axes, kept)
    elif kept.size and np.abs(kept).max() > LINEAR_UP_TO:
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylabel(f"{axes.get_ylabel()} (linear from -1 to 1)")


def set_positive_log(axes: Any, values: Values) -> None:  # noqa: ANN401
    """A log axis where there is a positive value; zeros leave a gap."""
    if (values > 0).any():
        _set_log(axes, values[values > 0])


def _set_log(axes: Any, positive: Values) -> None:  # noqa: ANN401
    """A log axis, with plain numbers 0.1, 0.2, 0.5 where powers of ten would be too few."""
    axes.set_yscale("log", nonpositive="mask")
    if positive.max() < 100 * positive.min():
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_validation(axes: Any, curves: _Curves, name: str, style: dict[str, Any]) -> None:  # noqa: ANN401
    axes.plot(
        curves.epoch_end,
        curves.val[name],
        **{**style, "label": None},
        linewidth=0.8,
        markersize=6,
        markerfacecolor="white",
        markevery=curves.markevery,
        zorder=3,
    )


def _legend_beside(axes: Any, styles: dict[str, dict[str, Any]], heading: str) -> None:  # noqa: ANN401
    handles = [Line2D([], [], **style, linewidth=1.6, markerfacecolor="white") for style in styles.values()]
    axes.legend(
        handles=handles,
        title=heading,
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        handlelength=3.5,
    )


def _add_epoch_axis(axes: Any, results: Sequence[EpochResult]) -> None:  # noqa: ANN401
    """A second axis below the steps: epochs done, from the length of the first epoch drawn."""
    first, length = results[0], len(results[0].steps["loss"])
    epochs = axes.secondary_xaxis(
        -0.36,
        functions=(
            lambda step: first.epoch + (step - first.first_step) / length,
            lambda epoch: first.first_step + (epoch - first.epoch) * length,
        ),
    )
    epochs.set_xlabel("epochs done")
    epochs.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))


def _mark_divergence(panels: Sequence[Any], results: Sequence[EpochResult]) -> None:
    step = diverged_at(results)
    if step is not None:
        mark_step(panels, step, f"diverged at step {step}")


def mark_step(panels: Sequence[Any], step: int, text: str) -> None:
    """A dotted line at the step in every panel, and the text above the first."""
    for axes in panels:
        axes.axvline(step, color=BLACK, linestyle=":", linewidth=1.5)
    left, right = panels[0].get_xlim()
    panels[0].annotate(
        text,
        (step, 1),
        xytext=(0, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        horizontalalignment="right" if step > (left + right) / 2 else "left",
    )
