"""How the figures of a comparison look: panels, the lines and bands of groups, their legend.

Okabe & Ito's colours, and a line style and a marker a group, so that black and white tells them apart, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jointdec.comparing.comparison import Comparison
from jointdec.comparing.groups import Group
from jointdec.comparing.measured import Curve
from jointdec.reporting.curves import BLACK, BLUE, GREEN, VERMILLION, set_loss_scale, set_positive_log
from jointdec.reporting.names import is_share
from jointdec.training.result import Values

COLOURS = (BLUE, VERMILLION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", BLACK)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BAND = (10, 90)  # percent of the runs; the middle 80 %


def style(number: int) -> dict[str, Any]:
    """Colour, line and marker of a group by its place; after seven colours the lines shift."""
    again = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[(number + again) % len(DASHES)],
        "marker": MARKERS[(number + again) % len(MARKERS)],
    }


def panels(count: int, columns: int, size: tuple[float, float], sharey: bool = False) -> tuple[Figure, list[Any]]:
    """A figure with so many panels, and its axes."""
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    drawn = list(figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
    for axes in drawn[count:]:
        axes.set_visible(False)
    for axes in drawn:
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9)
    return figure, drawn[:count]


def legend(figure: Figure, comparison: Comparison) -> None:
    """The groups' lines and names, above all panels."""
    names = [group.name for group in comparison.groups]
    handles = [Line2D([], [], linewidth=1.6, markersize=5, **style(place)) for place in range(len(names))]
    width = 1 + 0.09 * max(map(len, names))  # inches of an entry, about
    columns = min(len(names), max(int(figure.get_figwidth() / width), 1))
    figure.legend(handles, names, loc="outside upper center", ncols=columns, frameon=False, handlelength=3.5)


def bands(axes: Any, comparison: Comparison, name: str, scale: Callable[[Any, Values], None]) -> None:  # noqa: ANN401
    """A curve of every group: the median of its runs, and a band that holds most of them."""
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
        look = {"marker": "x", "markersize": 9, "markeredgewidth": 2.2, "linestyle": "none", "zorder": 4}
        axes.plot([step], [height], color=looks["color"], **look)


def scale_of(name: str) -> Callable[[Any, Values], None]:
    """Percent for shares; a log axis for losses that fall to a third or less: for others it would have one tick."""
    if is_share(name):
        return lambda axes, _: in_percent(axes.yaxis, " %")
    if name == "step/grad_norm":
        return set_positive_log

    def loss(axes: Any, values: Values) -> None:  # noqa: ANN401
        if np.nanmin(values) <= 0 or np.nanmax(values) > 3 * np.nanmin(values):
            set_loss_scale(axes, values)

    return loss


def in_percent(axis: Any, sign: str = "") -> None:  # noqa: ANN401
    """Write the shares on an axis as numbers of percent."""
    axis.set_major_formatter(lambda share, _: f"{100 * share:g}{sign}")
