"""The curves of a group's runs on common axes, few enough points to draw, whatever the number of runs and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from jointdec.comparing.groups import Group
from jointdec.reporting.curve_arrays import SECONDS
from jointdec.reporting.curves import finite
from jointdec.reporting.runs import STEP_AXIS, iterate_curves

Values = npt.NDArray[np.float64]

POINTS = 200  # of a curve over the steps: as many as a figure of a hand's width can show
NAMES = ("step/nodes", "step/edges", "step/grad_norm", "layer/", "val/", SECONDS)


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
    longest = max(having, key=lambda arrays: len(arrays[name]))
    count = len(longest[name])
    if name.startswith(STEP_AXIS):
        width = -(-count // POINTS)
        at = _binned(longest["step"] + 0.5, count, width)
    else:  # after the epoch
        width = 1
        at = (longest["epoch"] + 1) * _steps_per_epoch(longest)
    return Curve(at, np.stack([_binned(finite(arrays[name]), count, width) for arrays in having]))


def _steps_per_epoch(arrays: Mapping[str, Values]) -> float:
    return len(arrays["step"]) / len(arrays["epoch"])


def _binned(values: Values, count: int, width: int) -> Values:
    """Means of what is finite among ``width`` values on end, of a curve that should have ``count`` of them."""
    padded = np.full(-(-count // width) * width, np.nan)
    padded[: len(values)] = values
    rows = padded.reshape(-1, width)
    there = np.isfinite(rows)
    total = np.where(there, rows, 0).sum(1)
    return np.where(there.any(1), total / np.maximum(there.sum(1), 1), np.nan)
