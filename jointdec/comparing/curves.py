"""The curves of a group's runs on common axes, few enough points to draw, whatever the number of runs and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jointdec.comparing.groups import Group
from jointdec.reporting.curve_arrays import SECONDS, axis_of
from jointdec.reporting.curves import finite
from jointdec.reporting.runs import iterate_curves
from jointdec.training.result import Steps, Values

POINTS = 200  # of a curve over the steps: as many as a figure of a hand's width can show
NAMES = ("step/", "layer/", "val/", SECONDS)


@dataclass(frozen=True)
class Curve:
    """One quantity of all runs of a group.

    Attributes:
        steps: (points,) optimizer steps done at each point, the middle of what it is a mean of.
        values: (runs, points); NaN where a run has no finite value.
    """

    steps: Values
    values: Values


@dataclass(frozen=True)
class Curves:
    """A group's.

    Attributes:
        curves: name as in curves.npz -> the curve.
        epochs: run id -> its ``val/…`` and ``seconds`` as they were recorded, (epochs,) each.
        missing: ids of runs that left no curves.
    """

    curves: Mapping[str, Curve]
    epochs: Mapping[str, Mapping[str, Values]]
    missing: Sequence[str] = field(default=())


def gather(group: Group, tracking_uri: str | None) -> Curves:
    """Read the curves of a group's runs, those that diverged among them.

    Raises:
        UserError: the store does not answer, or an artifact is no file of arrays.
    """
    read = dict(iterate_curves(group.all, NAMES, tracking_uri))
    found = {run_id: arrays for run_id, arrays in read.items() if arrays is not None}
    names = list(dict.fromkeys(name for arrays in found.values() for name in arrays if "/" in name))
    curves = {name: _curve(name, list(found.values())) for name in names}
    epochs = {
        run_id: {name: values for name, values in arrays.items() if name == SECONDS or name.startswith("val/")}
        for run_id, arrays in found.items()
    }
    return Curves(curves, epochs, [run_id for run_id in read if run_id not in found])


def _curve(name: str, runs: Sequence[Mapping[str, Values]]) -> Curve:
    having = [arrays for arrays in runs if name in arrays]
    if axis_of(name, having[0]) == "epoch":
        return _over_epochs([arrays[name] for arrays in having], max(having, key=lambda arrays: len(arrays[name])))
    return _over_steps([(arrays[axis_of(name, arrays)].astype(np.int64), arrays[name]) for arrays in having])


def _over_epochs(curves: Sequence[Values], longest: Mapping[str, Values]) -> Curve:
    """Each epoch's value, at the step after which it was judged."""
    epochs = longest["epoch"]
    values = np.full((len(curves), len(epochs)), np.nan)
    for row, curve in zip(values, curves, strict=True):
        row[: len(curve)] = finite(curve)
    return Curve((epochs + 1) * len(longest["step"]) / len(epochs), values)


def _over_steps(curves: Sequence[tuple[Steps, Values]]) -> Curve:
    """Means of what is finite in equal parts of the steps, none so narrow that a run was never measured in it.

    Args:
        curves: of each run the steps (k,) and the values (k,).
    """
    count = int(max(at[-1] for at, _ in curves)) + 1
    apart = int(max(at[1] - at[0] if len(at) > 1 else 1 for at, _ in curves))
    width = max(-(-count // POINTS), apart)
    first = width * np.arange(-(-count // width))
    values = np.stack([_means(at // width, finite(curve), len(first)) for at, curve in curves])
    return Curve((first + np.minimum(first + width, count)) / 2, values)


def _means(part: Steps, values: Values, count: int) -> Values:
    """The mean of what is finite in each of so many parts; NaN where nothing is."""
    there = np.isfinite(values)
    total = np.bincount(part[there], values[there], count)
    number = np.bincount(part[there], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
