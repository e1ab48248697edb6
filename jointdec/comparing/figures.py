"""The figures of a comparison: learning curves, final metrics, one head against the other, gradients, molecules.

Okabe & Ito's colours, and a line style and a marker a group, so that black and white tells them apart, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.curves import Curve
from jointdec.comparing.groups import Group
from jointdec.comparing.words import name_of, value
from jointdec.problems.molecules.pictures import decoded_figure
from jointdec.reporting.curves import BLACK, BLUE, GREEN, VERMILLION, set_loss_scale, set_positive_log
from jointdec.reporting.summary import higher_is_better

Values = npt.NDArray[np.float64]

COLOURS = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", BLACK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BAND = (10, 90)  # percent of the runs; the middle 80 %
MANY = 60  # runs of a group, above which its points are drawn smaller
MOST_DECODED = 4  # runs below each molecule
CURVES = {
    "step/nodes": "training: atoms' loss",
    "step/edges": "training: pairs' loss",
    "val/nodes": "validation: atoms' loss",
    "val/edges": "validation: pairs' loss",
    "val/node_accuracy": "validation: atoms right",
    "val/edge_accuracy": "validation: pairs right",
    "val/exact": "validation: molecules exact",
    "step/grad_norm": "gradient's 2-norm",
}


class Plot(NamedTuple):
    """A figure of the report.

    Attributes:
        name: of its files.
        title, caption: for people.
        alt: what it shows, for those who cannot see it.
        figure: itself.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure


class Decoded(NamedTuple):
    """What some runs made of the same test molecules: name of the run -> labels, as `decoded_figure` takes them."""

    smiles: Sequence[str]
    true: tuple[Any, Any]
    decodings: Mapping[str, tuple[Any, Any]]


def plots(comparison: Comparison, decoded: Decoded | None) -> list[Plot]:
    """All figures that there are data for."""
    drawn = [_learning(comparison), _finals(comparison), _pareto(comparison), _layers(comparison)]
    if decoded:
        drawn.append(_molecules(decoded))
    return [plot for plot in drawn if plot]


def save(plot: Plot, folder: Path) -> None:
    """Write a figure as PNG and, but for drawings of molecules, which are pixels, as SVG."""
    plot.figure.savefig(folder / f"{plot.name}.png", dpi=150)
    if plot.name != "molecules":
        plot.figure.savefig(folder / f"{plot.name}.svg", metadata={"Date": None})


def style(number: int) -> dict[str, Any]:
    """Colour, line and marker of a group by its place; after seven colours the lines shift."""
    again = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[(number + again) % len(DASHES)],
        "marker": MARKERS[(number + again) % len(MARKERS)],
    }


def _learning(comparison: Comparison) -> Plot | None:
    names = [name for name in CURVES if any(name in c.curves for c in comparison.curves.values())]
    if not names:
        return None
    figure, panels = _panels(len(names), columns=2, size=(5, 2.5))
    for axes, name in zip(panels, names, strict=False):
        _bands(axes, comparison, name, _scale_of(name))
        axes.set_title(CURVES[name], fontsize=10, loc="left")
        axes.set_xlabel("optimizer step")
    _legend(figure, comparison)
    first = [name for name in ("val/exact", "val/nodes", "val/edges") if name in names]
    ends = "; ".join(f"{CURVES[name]}: {_ends(comparison, name)}" for name in first)
    return Plot(
        "learning_curves",
        "Learning curves",
        f"Line: median over the runs; band: the middle {BAND[1] - BAND[0]} % of them. A cross marks the step at which "
        "a run diverged; from there on it is in neither. Training losses are means over a two-hundredth of the steps.",
        f"Learning curves of {_listed(comparison)} over the optimizer steps. At the end, in the median, {ends}.",
        figure,
    )


def _finals(comparison: Comparison) -> Plot | None:
    metrics = [m for m in comparison.metrics if any((g.name, m) in comparison.summaries for g in comparison.groups)]
    if not metrics:
        return None
    height = 1.1 + 0.36 * len(comparison.groups)
    figure, panels = _panels(len(metrics), columns=min(len(metrics), 3), size=(3.6, height), sharey=True)
    rng = np.random.default_rng(0)
    for axes, metric in zip(panels, metrics, strict=False):
        for place, group in enumerate(comparison.groups):
            _strip(axes, comparison, group, metric, place, rng)
        axes.set_title(name_of(metric), fontsize=10, loc="left")
        if higher_is_better(metric):
            axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
            axes.set_xlabel("percent")
        axes.set_yticks(range(len(comparison.groups)), [g.name for g in comparison.groups])
        axes.set_ylim(len(comparison.groups) - 0.5, -0.5)
    texts = [
        f"{name_of(m)}: "
        + ", ".join(
            f"{g.name} {value(m, s.mean.value)}"
            for g in comparison.groups
            if (s := comparison.summaries.get((g.name, m)))
        )
        for m in metrics
    ]
    return Plot(
        "final_metrics",
        "Final metrics",
        "A point a run; box: quartiles and median; below it the mean with its 95 % bootstrap interval."
        + (" Diverged runs have no final metric: their number stands at the right." if _diverged(comparison) else ""),
        f"Points, boxes and intervals of the final metrics of {_listed(comparison)}. Means of {'; '.join(texts)}.",
        figure,
    )


def _strip(  # noqa: PLR0913, PLR0917 (where and what)
    axes: Any,  # noqa: ANN401 (matplotlib has no types)
    comparison: Comparison,
    group: Group,
    metric: str,
    place: int,
    rng: np.random.Generator,
) -> None:
    looks = style(place)
    if len(group.diverged):
        text = f"{len(group.diverged)} diverged"
        axes.annotate(text, (1, place), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    summary = comparison.summaries.get((group.name, metric))
    if not summary:
        return
    sample = group.runs[metric].to_numpy(np.float64)
    sample = sample[np.isfinite(sample)]
    if len(sample) > 1:
        axes.boxplot(
            [sample], positions=[place - 0.08], orientation="horizontal", widths=0.35, showfliers=False,
            manage_ticks=False, medianprops={"color": BLACK}, boxprops={"color": "0.4"},
            whiskerprops={"color": "0.4"}, capprops={"color": "0.4"},
        )  # fmt: skip
    size = 18 if len(sample) <= MANY else 4
    offsets = rng.uniform(-0.13, 0.13, len(sample))
    axes.scatter(sample, place - 0.08 + offsets, s=size, marker=looks["marker"], color=looks["color"], alpha=0.7, lw=0)
    mean = summary.mean
    reach = [[0], [0]] if math.isnan(mean.low) else [[mean.value - mean.low], [mean.high - mean.value]]
    axes.errorbar([mean.value], [place + 0.28], xerr=reach, color=looks["color"], marker="|", capsize=3, lw=1.6)


def _pareto(comparison: Comparison) -> Plot | None:
    split = "test" if any(m.startswith("test/") for m in comparison.metrics) else "val"
    pair = f"{split}/node_accuracy", f"{split}/edge_accuracy"
    groups = [g for g in comparison.groups if len(g.runs) and all(name in g.runs for name in pair)]
    if not groups:
        return None
    figure, (axes, *_) = _panels(1, columns=1, size=(5.5, 4.5))
    means = np.array([[group.runs[name].mean() for name in pair] for group in groups])
    for group, (x, y) in zip(groups, means, strict=True):
        looks = style(comparison.groups.index(group))
        size = 18 if len(group.runs) <= MANY else 5
        axes.scatter(
            group.runs[pair[0]],
            group.runs[pair[1]],
            s=size,
            color=looks["color"],
            marker=looks["marker"],
            alpha=0.5,
            lw=0,
        )
        axes.scatter(
            [x],
            [y],
            s=110,
            facecolor="white",
            edgecolor=looks["color"],
            linewidth=1.8,
            marker=looks["marker"],
            zorder=3,
        )
    on = front(means)
    axes.plot(*means[on].T, color="0.4", linewidth=1, zorder=0, drawstyle="steps-pre")
    for axis, name in zip((axes.xaxis, axes.yaxis), pair, strict=True):
        axis.set_major_formatter(lambda share, _: f"{100 * share:g}")
        axis.set_label_text(f"{name_of(name)}, percent")
    _legend(figure, comparison)
    names = [groups[index].name for index in on]
    return Plot(
        "pareto",
        "Atoms against pairs",
        "Small: runs; large: the mean of a group. The line joins the groups that no other beats in both: "
        f"{', '.join(names)}.",
        f"Share of pairs right over share of atoms right. On the front: {', '.join(names)}.",
        figure,
    )


def front(points: Values) -> list[int]:
    """Indices of the points that no other one beats in both coordinates, from left to right.

    Args:
        points: (n, 2), larger is better.
    """
    beaten = [bool(((points >= point).all(1) & (points > point).any(1)).any()) for point in points]
    return sorted(np.flatnonzero(~np.array(beaten)).tolist(), key=lambda index: float(points[index, 0]))


def _layers(comparison: Comparison) -> Plot | None:
    names = list(dict.fromkeys(n for c in comparison.curves.values() for n in c.curves if n.startswith("layer/")))
    if not names:
        return None
    figure, panels = _panels(len(names), columns=min(4, len(names)), size=(2.7, 2.1))
    for axes, name in zip(panels, names, strict=False):
        _bands(axes, comparison, name, set_positive_log)
        axes.set_title(name.removeprefix("layer/"), fontsize=10, loc="left")
        axes.set_xlabel("optimizer step")
    _legend(figure, comparison)
    dead = [
        f"{name.removeprefix('layer/')} of {group}"
        for group, curves in comparison.curves.items()
        for name in names
        if name in curves.curves and np.nanmax(curves.curves[name].values[:, -1], initial=0) == 0
    ]
    return Plot(
        "gradient_norms",
        "Gradient norms, layer by layer",
        "2-norm of each layer's gradient; lines, bands and crosses as above."
        + (f" Zero at the end, in all runs: {', '.join(dead)}." if dead else ""),
        f"Gradient norms over the optimizer steps of the layers {', '.join(n.removeprefix('layer/') for n in names)}. "
        + (f"Zero at the end: {', '.join(dead)}." if dead else "No layer's gradient is zero at the end."),
        figure,
    )


def _molecules(decoded: Decoded) -> Plot:
    figure = decoded_figure(decoded.smiles, decoded.true, decoded.decodings, "Test molecules and their decodings")
    names = ", ".join(decoded.decodings)
    return Plot(
        "molecules",
        "Decoded molecules",
        f"The first test molecules, and what these runs make of them: {names}. Shaded: what differs from the true one.",
        f"Drawings of {len(decoded.smiles)} test molecules, each above its decodings by {names}.",
        figure,
    )


def _bands(axes: Any, comparison: Comparison, name: str, scale: Callable[[Any, Values], None]) -> None:  # noqa: ANN401
    drawn: list[Values] = []
    for place, group in enumerate(comparison.groups):
        curve = comparison.curves[group.name].curves.get(name)
        if curve is None:
            continue
        some = np.isfinite(curve.values).any(0)
        at, values = curve.steps[some], curve.values[:, some]
        if not len(at):
            continue
        low, middle, high = np.nanpercentile(values, (BAND[0], 50, BAND[1]), axis=0)
        looks = style(place)
        every = max(len(at) // 6, 1)
        axes.plot(at, middle, linewidth=1.5, markersize=4, markevery=((place * every) // 3 % every, every), **looks)
        if len(values) > 1:
            if scale is set_positive_log and (values > 0).any():
                low = np.maximum(low, values[values > 0].min())  # a band down to 0 has no place on a log axis
            axes.fill_between(at, low, high, color=looks["color"], alpha=0.18, linewidth=0)
        drawn += [low, high]
        _crosses(axes, curve, group, looks)
    if drawn:
        scale(axes, np.concatenate(drawn))


def _crosses(axes: Any, curve: Curve, group: Group, looks: dict[str, Any]) -> None:  # noqa: ANN401
    """Where runs diverged: at the step, at the height of the group's last finite values."""
    for step in group.divergence_steps:
        before = np.isfinite(curve.values).any(0) & (curve.steps <= step)
        where = np.flatnonzero(before)[-1] if before.any() else int(np.argmax(np.isfinite(curve.values).any(0)))
        height = np.nanmedian(curve.values[:, where])
        axes.plot(
            [step],
            [height],
            marker="x",
            markersize=9,
            markeredgewidth=2.2,
            color=looks["color"],
            linestyle="none",
            zorder=4,
        )


def _scale_of(name: str) -> Callable[[Any, Values], None]:
    """Percent for shares; a log axis for losses that fall to a third or less: for others it would have one tick."""
    if higher_is_better(name):
        return lambda axes, _: axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    if name == "step/grad_norm":
        return set_positive_log

    def loss(axes: Any, values: Values) -> None:  # noqa: ANN401
        if np.nanmin(values) <= 0 or np.nanmax(values) > 3 * np.nanmin(values):
            set_loss_scale(axes, values)

    return loss


def _panels(count: int, columns: int, size: tuple[float, float], sharey: bool = False) -> tuple[Figure, list[Any]]:
    """A figure with so many panels, and its axes."""
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    for axes in panels:
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    return figure, panels[:count]


def _legend(figure: Figure, comparison: Comparison) -> None:
    names = [group.name for group in comparison.groups]
    handles = [Line2D([], [], linewidth=1.6, markersize=5, **style(place)) for place in range(len(names))]
    width = 1 + 0.09 * max(map(len, names))  # inches of an entry, about
    columns = min(len(names), max(int(figure.get_figwidth() / width), 1))
    figure.legend(handles, names, loc="outside upper center", ncols=columns, frameon=False, handlelength=3.5)


def _listed(comparison: Comparison) -> str:
    return ", ".join(f"{group.name} ({len(group.all)} runs)" for group in comparison.groups)


def _diverged(comparison: Comparison) -> bool:
    return any(len(group.diverged) for group in comparison.groups)


def _ends(comparison: Comparison, name: str) -> str:
    """The last median of each group."""
    parts = []
    for group in comparison.groups:
        curve = comparison.curves[group.name].curves.get(name)
        if curve is not None and np.isfinite(curve.values).any():
            last = np.flatnonzero(np.isfinite(curve.values).any(0))[-1]
            parts.append(f"{group.name} {value(name, float(np.nanmedian(curve.values[:, last])))}")
    return ", ".join(parts)
