"""All of a run's curves as one ``.npz`` file: every step, every layer, to the last bit, NaN and Inf included.

The tracking store keeps neither layers' norms nor infinities, and is slow to read; this is for programs. Arrays:
``step`` (steps,) with ``step/loss|nodes|edges|grad_norm`` and ``layer/NAME``, the gradient's 2-norm of that layer;
``epoch`` (epochs,) with ``train/…``, ``val/…`` and ``seconds``, the wall time of the epoch's training steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.training.result import EpochResult

SECONDS = "seconds"


def save_curves(results: Sequence[EpochResult], file: Path) -> None:
    """Write the epochs, in their order."""
    arrays = {"epoch": np.array([result.epoch for result in results])}
    arrays["step"] = np.concatenate([result.step_numbers for result in results])
    for prefix, field in (("step", "steps"), ("layer", "layers")):
        for name in getattr(results[0], field):
            arrays[f"{prefix}/{name}"] = np.concatenate([getattr(result, field)[name] for result in results])
    for field in ("train", "val"):
        for name in getattr(results[0], field):
            arrays[f"{field}/{name}"] = np.array([getattr(result, field)[name] for result in results])
    arrays[SECONDS] = np.array([result.seconds for result in results])
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # for NumPy's stub they might be allow_pickle


def repeatable(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """What the same run gives again: all but its times."""
    return {name: values for name, values in arrays.items() if name != SECONDS}


def largest_difference(then: dict[str, npt.NDArray[Any]], now: dict[str, npt.NDArray[Any]]) -> str | None:
    """The largest relative difference between two runs' curves, in words; None if all numbers are the same."""
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
