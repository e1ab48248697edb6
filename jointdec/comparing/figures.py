"""The figures of a comparison: learning curves, final metrics, one head against the other, gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.drawing import BAND, bands, in_percent, legend, panels, scale_of, style
from jointdec.comparing.measured import Measured, head_of
from jointdec.comparing.words import value
from jointdec.errors import UserError
from jointdec.reporting.curves import BLACK, set_positive_log
from jointdec.reporting.names import SPLITS, higher_is_better, is_share, part_of
from jointdec.training.result import Values

MARGIN = 0.005  # of a share's axis, beside 0 and 1, for a point that lies there
MANY = 60  # runs of a group, above which its points are drawn smaller
MOST = 12  # learning curves on the page
PICTURED = 4  # runs, of as many groups
NORM = "step/grad_norm"


class Plot(NamedTuple):
    """A figure of the report.

    Attributes:
        name: of its files.
        title, caption: for people.
        alt: what it shows, for those who cannot see it.
        figure: itself.
        pixels: whether it is a picture of pixels, which is not kept as SVG.
    """

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    pixels: bool = False


def plots(comparison: Comparison) -> list[Plot]:
    """All figures that there are data for."""
    drawn = [_learning(comparison), _finals(comparison), _pareto(comparison), _layers(comparison)]
    return [plot for plot in drawn if plot]


def pictures(comparison: Comparison, asked: Sequence[str], tracking_uri: str | None) -> list[Plot]:
    """What the problem draws of its runs, if it does: of those asked for, else of the median one of each group.

    Raises:
        UserError: a run that was asked for is not among those compared, or there is nothing to draw of it.
    """
    group_of = {run_id: group.name for group in comparison.groups for run_id in group.runs["run_id"]}
    for run_id in asked:
        if run_id not in group_of:
            raise UserError(f"pictures has {run_id!r}, which is not among the runs compared: give ids of those.")
    module = part_of(comparison.measured.problem, "decoded_runs")
    if module is None and asked:
        raise UserError("pictures names runs, but their problem draws none: leave it out.")
    medians = [_median_run(group.runs, comparison.measured) for group in comparison.groups if len(group.runs)]
    chosen = list(asked) or medians[:PICTURED]
    if module is None or not chosen:
        return []
    runs = pd.concat([group.runs for group in comparison.groups]).set_index("run_id").loc[chosen]
    names = {run_id: f"{group_of[run_id]}, seed {seed}" for run_id, seed in runs["seed"].items()}
    drawn: Plot | None = module.picture(runs, names, tracking_uri, required=bool(asked))
    return [drawn] if drawn else []


def save(plot: Plot, folder: Path) -> None:
    """Write a figure as PNG and, where it is no picture of pixels, as SVG."""
    plot.figure.savefig(folder / f"{plot.name}.png", dpi=150)
    if not plot.pixels:
        plot.figure.savefig(folder / f"{plot.name}.svg", metadata={"Date": None})


def _learning(comparison: Comparison) -> Plot | None:
    names, left_out = _curves_to_draw(comparison)
    if not names:
        return None
    columns = 2 if len(names) <= 8 else 3
    figure, drawn = panels(len(names), columns, size=(10 / columns, 2.5))
    for axes, name in zip(drawn, names, strict=True):
        bands(axes, comparison, name, scale_of(name))
        axes.set_title(_curve_name(comparison, name), fontsize=10, loc="left")
        axes.set_xlabel("optimizer step")
    legend(figure, comparison)
    found = comparison.measured
    first = [name for name in (found.merit("val", names), *(f"val/{head}" for head in found.heads)) if name in names]
    ends = "; ".join(f"{_curve_name(comparison, name)}: {_ends(comparison, name)}" for name in first)
    return Plot(
        "learning_curves",
        "Learning curves",
        f"Line: median over the runs; band: the middle {BAND[1] - BAND[0]} % of them. A cross marks the step at which "
        "a run diverged; from there on it is in neither. Training losses are means over a two-hundredth of the steps."
        + (f" Not drawn, for there are too many: {', '.join(left_out)}." if left_out else ""),
        f"Learning curves of {_listed(comparison)} over the optimizer steps."
        + (f" At the end, in the median, {ends}." if ends else ""),
        figure,
    )


def _curves_to_draw(comparison: Comparison) -> tuple[list[str], list[str]]:
    """Losses in training and validation, metrics and the gradient's norm; and names of those for which no room is left.

    Where there are too many, each kind has its part of the room: metrics over all heads, then the first heads.
    """
    found = comparison.measured
    kinds = [
        [f"step/{name}" for name in found.losses],
        [f"val/{name}" for name in found.losses],
        [f"val/{name}" for name in found.metrics],
    ]
    known = {name for curves in comparison.curves.values() for name in curves.curves}
    kinds = [[name for name in kind if name in known] for kind in kinds]
    first = sorted(kinds[2], key=lambda name: head_of(name.partition("/")[2], found.heads) is not None)
    in_turn = [name for names in zip_longest(*kinds[:2], first) for name in names if name]
    norm = [NORM] if NORM in known else []
    kept = set(in_turn[: MOST - len(norm)])
    drawn = [name for name in chain(*kinds) if name in kept]
    return [*drawn, *norm], [_curve_name(comparison, name) for name in chain(*kinds) if name not in kept]


def _curve_name(comparison: Comparison, name: str) -> str:
    return "gradient's 2-norm" if name == NORM else f"{SPLITS[name.partition('/')[0]]}: {comparison.name_of(name)}"


def _finals(comparison: Comparison) -> Plot | None:
    metrics = [m for m in comparison.metrics if any((g.name, m) in comparison.summaries for g in comparison.groups)]
    if not metrics:
        return None
    height = 1.1 + 0.36 * len(comparison.groups)
    figure, drawn = panels(len(metrics), columns=min(len(metrics), 3), size=(3.6, height), sharey=True)
    rng = np.random.default_rng(0)
    for axes, metric in zip(drawn, metrics, strict=True):
        for place in range(len(comparison.groups)):
            _strip(axes, comparison, metric, place, rng)
        axes.set_title(comparison.name_of(metric), fontsize=10, loc="left")
        if is_share(metric):
            in_percent(axes.xaxis)
            axes.set_xlabel("percent")
            least, most = axes.get_xlim()
            axes.set_xlim(max(least, -MARGIN), min(most, 1 + MARGIN))  # there are no shares beyond
        axes.set_yticks(range(len(comparison.groups)), [g.name for g in comparison.groups])
        axes.set_ylim(len(comparison.groups) - 0.5, -0.5)
    texts = [
        f"{comparison.name_of(m)}: "
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


def _strip(axes: Any, comparison: Comparison, metric: str, place: int, rng: np.random.Generator) -> None:  # noqa: ANN401
    """The runs of the group at this place: points, a box, and below them the mean with its interval."""
    group, looks = comparison.groups[place], style(place)
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
    """One head against the other, where there are two: by the first metric of each, or its loss if it has none."""
    pair = _two_heads(comparison)
    groups = [g for g in comparison.groups if pair and len(g.runs) and all(name in g.runs for name in pair)]
    groups = [g for g in groups if np.isfinite(g.runs[pair].mean()).all()]
    if not groups:
        return None
    figure, (axes, *_) = panels(1, columns=1, size=(5.5, 4.5))
    means = np.array([[group.runs[name].mean() for name in pair] for group in groups])
    for group, mean in zip(groups, means, strict=True):
        looks = style(comparison.groups.index(group))
        colour, marker = looks["color"], looks["marker"]
        size = 18 if len(group.runs) <= MANY else 5
        axes.scatter(*(group.runs[name] for name in pair), s=size, color=colour, marker=marker, alpha=0.5, lw=0)
        axes.scatter(*mean, s=110, facecolor="white", edgecolor=colour, linewidth=1.8, marker=marker, zorder=3)
    upwards = [higher_is_better(name) for name in pair]
    on = front(np.where(upwards, means, -means))
    on = sorted(on, key=lambda index: float(means[index, 0]))
    axes.plot(*means[on].T, color="0.4", linewidth=1, zorder=0, drawstyle="steps-pre" if upwards[0] else "steps-post")
    for axis, name in zip((axes.xaxis, axes.yaxis), pair, strict=True):
        axis.set_label_text(comparison.name_of(name) + (", percent" if is_share(name) else ""))
        if is_share(name):
            in_percent(axis)
    legend(figure, comparison)
    names = ", ".join(groups[index].name for index in on)
    x, y = (comparison.name_of(name) for name in pair)
    title = " against ".join(comparison.measured.head_name(head) for head in comparison.measured.heads)
    return Plot(
        "pareto",
        title[0].upper() + title[1:],
        f"Small: runs; large: the mean of a group. The line joins the groups that no other beats in both: {names}.",
        f"{y[0].upper()}{y[1:]} over {x}. On the front: {names}.",
        figure,
    )


def _two_heads(comparison: Comparison) -> list[str]:
    """What stands for each of two heads; nothing of one head or of more than two."""
    found = comparison.measured
    if len(found.heads) != 2:
        return []
    names = [next(iter(found.of_head(head)), head) for head in found.heads]
    if len(found.functions) > 1 and set(names) & set(found.heads):
        return []
    split = "test" if any(metric.startswith("test/") for metric in comparison.metrics) else "val"
    return [f"{split}/{name}" for name in names]


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
    figure, drawn = panels(len(names), columns=min(4, len(names)), size=(2.7, 2.1))
    for axes, name in zip(drawn, names, strict=True):
        bands(axes, comparison, name, set_positive_log)
        axes.set_title(name.removeprefix("layer/"), fontsize=10, loc="left")
        axes.set_xlabel("optimizer step")
    legend(figure, comparison)
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


def _median_run(runs: pd.DataFrame, found: Measured) -> str:
    """The run with the median of `Measured.merit`; the lower one of two."""
    merit = found.merit("test", runs) or found.merit("val", runs) or "seed"
    ranked = runs.sort_values(merit, kind="stable")["run_id"]
    return str(ranked.iloc[(len(ranked) - 1) // 2])


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
