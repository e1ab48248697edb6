"""All of a run's curves as arrays, in one ``.npz`` file or as pandas tables: every step, every layer, to the last bit.

NaN and Inf included. The tracking store keeps neither all steps nor layers' norms nor infinities, and is slow to read;
this is for programs. Arrays in the file, each with the numbers on its axis:

- ``step`` (steps,) with ``step/loss`` and ``step/HEAD``, the losses of each step;
- ``norm_step`` (k,) with ``step/grad_norm`` and ``layer/NAME``, the 2-norms of all gradients and of a layer's: they may
  be measured in every n-th step only. Files written before that was so have no ``norm_step``: theirs is ``step``;
- ``epoch`` (epochs,) with ``train/…``, ``val/…`` and ``seconds``, the wall time of the epoch's training steps.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

from jointdec.training.result import EpochResult, all_epochs, all_norms, all_steps

SECONDS = "seconds"
GRAD_NORM, LAYER = "step/grad_norm", "layer/"
AXES = ("step", "norm_step", "epoch")


def save_curves(results: Sequence[EpochResult], file: Path) -> None:
    """Write the epochs, in their order."""
    arrays = {"epoch": np.array([result.epoch for result in results])}
    arrays["step"], losses = all_steps(results)
    arrays |= {f"step/{name}": values for name, values in losses.items()}
    arrays["norm_step"], norms = all_norms(results)
    arrays |= {norm_curve(name): values for name, values in norms.items()}
    arrays |= all_epochs(results)
    arrays[SECONDS] = np.array([result.seconds for result in results])
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # for NumPy's stub they might be allow_pickle


def norm_curve(name: str) -> str:
    """The array that holds a norm: ``grad_norm``, or a layer's."""
    return GRAD_NORM if name == "grad_norm" else f"{LAYER}{name}"


def axis_of(curve: str, arrays: Container[str]) -> str:
    """The array with the numbers of the steps or epochs that a curve's values belong to."""
    if curve == GRAD_NORM or curve.startswith(LAYER):
        return "norm_step" if "norm_step" in arrays else "step"
    return "step" if curve.startswith("step/") else "epoch"


def repeatable(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """What the same run gives again: all but its times."""
    return {name: values for name, values in arrays.items() if name != SECONDS}


def largest_difference(then: dict[str, npt.NDArray[Any]], now: dict[str, npt.NDArray[Any]]) -> str | None:
    """The largest relative difference between two runs' curves, in words; None if all numbers are the same."""
    then = _with_norm_steps(then, now)
    if then.keys() != now.keys() or any(then[name].shape != now[name].shape for name in then):
        return "the curves have other lengths or names"
    worst, where = 0.0, ""
    for name, old in then.items():
        new = now[name]
        differs = ~((old == new) | (np.isnan(old) & np.isnan(new)))
        if differs.any():
            relative = np.where(differs, np.abs(new - old) / np.maximum(np.abs(old), np.abs(new)), 0)
            at = int(np.nanargmax(np.where(np.isnan(relative), np.inf, relative)))
            if not where or not relative[at] <= worst:
                worst, where = float(relative[at]), f"{name}: {old[at]:.9g} then, {new[at]:.9g} now, in place {at}"
    return f"{where} (relative difference {worst:.2g}, the largest)" if where else None


def _with_norm_steps(then: dict[str, npt.NDArray[Any]], now: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Arrays of before there was ``norm_step``, of whose norms there are those of the steps measured now."""
    if "norm_step" in then or "norm_step" not in now:
        return then
    measured = np.isin(then["step"], now["norm_step"])
    norms = {name: values[measured] for name, values in then.items() if axis_of(name, now) == "norm_step"}
    return {**then, **norms, "norm_step": then["step"][measured]}


def steps_frame(results: Sequence[EpochResult]) -> pd.DataFrame:
    """A row a step, indexed by its global number: ``loss`` and one column a head."""
    return _frame("step", *all_steps(results)) if results else _frame("step", (), {})


def norms_frame(results: Sequence[EpochResult]) -> pd.DataFrame:
    """A row a step whose gradient was measured: ``grad_norm``, its 2-norm over all variables, and a column a layer."""
    return _frame("step", *all_norms(results))


def epochs_frame(results: Sequence[EpochResult]) -> pd.DataFrame:
    """A row an epoch: ``train/…``, ``val/…``, ``seconds`` of its training steps, and ``ms_per_step``."""
    times = {
        SECONDS: np.array([result.seconds for result in results]),
        "ms_per_step": np.array([result.ms_per_step for result in results]),
    }
    return _frame("epoch", [result.epoch for result in results], all_epochs(results) | times)


def _frame(
    axis: str, at: Sequence[int] | npt.NDArray[np.int64], curves: Mapping[str, npt.NDArray[np.float64]]
) -> pd.DataFrame:
    import pandas as pd  # which most who save curves do without

    return pd.DataFrame(dict(curves), index=pd.Index(at, dtype=np.int64, name=axis))
