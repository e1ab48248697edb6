"""What steps and evaluations log, read as Keras does: most logs are numbers, some metrics give one a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

Logs = dict[str, Any]  # name -> float, or an array of a metric that gives several


def opened(logs: Any) -> Logs:  # noqa: ANN401 (whatever a step returns)
    """Logs by their names, those of dicts within them, too, as where a ``train_step`` returns each metric's result."""
    found: Logs = {}
    for name, value in logs.items():
        found |= opened(value) if isinstance(value, Mapping) else {name: value}
    return found


def read(logs: Any) -> Logs:  # noqa: ANN401
    """The values of `opened` logs."""
    return {name: _value(value) for name, value in opened(logs).items()}


def numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Each value as numbers: those of an array by their places, e.g. ``f1_score/0``."""
    found: dict[str, float] = {}
    for name, value in logs.items():
        if np.ndim(value) == 0:
            found[name] = float(value)
        else:
            places = np.ndindex(np.shape(value))
            found |= {f"{name}/{'/'.join(map(str, place))}": float(np.asarray(value)[place]) for place in places}
    return found


def _value(value: Any) -> Any:  # noqa: ANN401
    array = np.asarray(keras.ops.convert_to_numpy(value))
    return float(array) if array.ndim == 0 else array
