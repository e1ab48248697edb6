"""The picture of one run: losses, validation metrics and the gradient's norm over the optimizer steps.

Drawn with matplotlib's objects alone: no pyplot, so no global state and no display. The colours are Okabe &
Ito's (2008), made for the colour-blind; line styles and markers tell the curves apart in black and white.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from jointdec.reporting.names import is_share, name_of
from jointdec.training.result import EpochResult, Values, all_epochs, all_norms, all_steps, diverged_at

BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
LINES = (  # of heads and metrics, in their order
    *((BLUE, "--", "s"), (VERMILLION, "-.", "^"), (GREEN, "-", "D")),
    *(("#CC79A7", ":", "v"), ("#E69F00", "--", "P"), ("#56B4E9", "-.", "X")),
)
MARKERS = 25  # at most so many markers on a curve: more hide it
EPOCH_AXIS_BELOW = 0.086  # of the height of all panels
LINEAR_UP_TO = 100  # losses of both signs are drawn on a linear axis as long as none is larger than this


def curves_figure(results: Sequence[EpochResult], title: str, words: Mapping[str, str] | None = None) -> Figure:
    """Draw a run's learning curves: losses, and below them what there is of validation metrics and gradient norms.

    Values that are not finite leave a gap; the first step with one is marked in every panel.

    Args:
        results: the epochs in their order; a resumed run may begin later than epoch 0.
        title: what stands above.
        words: what the problem calls its metrics, see `jointdec.reporting.names.words_of`; by default by their names.

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
    curves = _Curves(results, words or {})
    drawn = [(_draw_losses, 2.0)]
    drawn += [(_draw_metrics, 1.2)] if curves.metrics else []
    drawn += [(_draw_norms, 1.0)] if len(curves.norms) else []
    ratios = [ratio for _, ratio in drawn]
    panels = list(figure.subplots(len(drawn), 1, sharex=True, height_ratios=ratios, squeeze=False).flat)
    for axes, (draw, _) in zip(panels, drawn, strict=True):
        draw(axes, curves)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("optimizer step")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    _add_epoch_axis(panels[-1], results, below=EPOCH_AXIS_BELOW * sum(ratios) / ratios[-1])
    _mark_divergence(panels, results)
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


def line_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Label, colour, line and marker of each: the total is black, the others have theirs by their place."""
    styles: dict[str, dict[str, Any]] = {}
    for name in names:
        again, place = divmod(len(styles.keys() - {"loss"}), len(LINES))
        colour, line, marker = (BLACK, "-", "o") if name == "loss" else LINES[place]
        if again:  # more than six: the colours again, with other markers
            marker = LINES[(place + again) % len(LINES)][2]
        label = "total" if name == "loss" else name
        styles[name] = {"label": label, "color": colour, "linestyle": line, "marker": marker}
    return styles


class _Curves:
    """The epochs' numbers, one after the other, with NaN for everything that is not finite."""

    def __init__(self, results: Sequence[EpochResult], words: Mapping[str, str]) -> None:
        self.words = words
        self.step, losses = all_steps(results)
        self.losses = {name: finite(values) for name, values in losses.items()}
        self.norm_step, norms = all_norms(results)
        self.norms = finite(norms.get("grad_norm", np.empty(0)))
        self.epoch_end = np.array([result.step_numbers[-1] + 1 for result in results])
        figures = {name: finite(values) for name, values in all_epochs(results).items()}
        self.val = {name[4:]: values for name, values in figures.items() if name.startswith("val/")}
        self.metrics = [name for name in self.val if name not in self.losses]
        every = -(-len(results) // MARKERS)
        self.markevery = ((len(results) - 1) % every, every)  # the last epoch has its marker


def _window(count: int) -> int:
    """Over how many of a curve's values to smooth."""
    return count // 200 * 2 + 1


def finite(values: Values) -> Values:
    """The values, with NaN for everything that is not finite."""
    return np.where(np.isfinite(values), values, np.nan)


def _draw_losses(axes: Any, curves: _Curves) -> None:  # noqa: ANN401 (matplotlib has no types)
    styles, window = line_styles(curves.losses), _window(len(curves.step))
    for name, style in styles.items():
        line = {key: style[key] for key in ("color", "linestyle")}
        axes.plot(curves.step, curves.losses[name], color=style["color"], linewidth=0.5, alpha=0.3)
        axes.plot(curves.step, smooth(curves.losses[name], window), linewidth=1.6, **line)
        _draw_validation(axes, curves, name, style)
    axes.set_ylabel("loss")
    validated = [curves.val[name] for name in styles if name in curves.val]
    set_loss_scale(axes, np.concatenate([*curves.losses.values(), *validated]))
    heading = "line: training,\n" + (f"mean of {window} steps" if window > 1 else "each step")
    _legend_beside(axes, styles, heading + ("\nmarker: validation" if validated else ""))


def _draw_metrics(axes: Any, curves: _Curves) -> None:  # noqa: ANN401
    styles = line_styles(curves.metrics)
    for name, style in styles.items():
        style["label"] = name_of(name, curves.words)
        _draw_validation(axes, curves, name, style)
    if all(map(is_share, styles)):
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel("validation: share")
    else:
        axes.set_ylabel("validation: metrics")
    _legend_beside(axes, styles, "after the epoch")


def _draw_norms(axes: Any, curves: _Curves) -> None:  # noqa: ANN401
    at, norms = curves.norm_step, curves.norms
    axes.plot(at, norms, color=BLACK, linewidth=0.5, alpha=0.3)
    axes.plot(at, smooth(norms, _window(len(norms))), color=BLACK, linewidth=1.6, **dots(norms))
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
    if name not in curves.val:
        return
    look = {**style, "label": None, "linewidth": 0.8, "markersize": 6, "markerfacecolor": "white", "zorder": 3}
    axes.plot(curves.epoch_end, curves.val[name], markevery=curves.markevery, **look)


def _legend_beside(axes: Any, styles: dict[str, dict[str, Any]], heading: str) -> None:  # noqa: ANN401
    handles = [Line2D([], [], **style, linewidth=1.6, markerfacecolor="white") for style in styles.values()]
    beside: dict[str, Any] = {"alignment": "left", "loc": "upper left", "bbox_to_anchor": (1.01, 1)}
    axes.legend(handles=handles, title=heading, frameon=False, handlelength=3.5, **beside)


def _add_epoch_axis(axes: Any, results: Sequence[EpochResult], below: float) -> None:  # noqa: ANN401
    """A second axis below the steps: epochs done, from the length of the first epoch drawn."""
    first, length = results[0], len(results[0].steps["loss"])
    epochs = axes.secondary_xaxis(
        -below,
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
