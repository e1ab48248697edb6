"""What a training step starts from: weights, Adam's moments, the step's number; as arrays, and as an ``.npz`` file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.errors import UserError
from jointdec.models.architecture import Weights

GROUPS = ("weights", "first", "second")


@dataclass(frozen=True, eq=False)
class State:
    """The state between two steps.

    Attributes:
        weights: the trainable variables by canonical name, see `jointdec.models.architecture`.
        first, second: Adam's moments m and v of each variable, by the same names; empty with ``optimizer=sgd``.
        iterations: updates taken so far.
        loss_scale: of float16's loss scaling, the scale and the good steps since it last changed; else None.
    """

    weights: Weights
    first: Weights = field(default_factory=dict)
    second: Weights = field(default_factory=dict)
    iterations: int = 0
    loss_scale: tuple[float, int] | None = None

    @property
    def finite_weights(self) -> bool:
        """Whether no weight is NaN or Inf."""
        return all(bool(np.isfinite(value).all()) for value in self.weights.values())

    def save(self, file: Path, **more: npt.NDArray[Any]) -> None:
        """Write the state, and further arrays beside it; there is nothing in it that needs pickle."""
        arrays = {f"{group}/{name}": array for group in GROUPS for name, array in getattr(self, group).items()}
        arrays |= {"iterations": np.array(self.iterations), **more}
        if self.loss_scale:
            arrays["loss_scale"] = np.array(self.loss_scale, np.float64)
        np.savez_compressed(file, **arrays)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
        """The state among the arrays that `save` wrote; KeyError where something is missing."""
        groups: dict[str, Weights] = {
            group: {name.partition("/")[2]: arrays[name] for name in arrays if name.startswith(f"{group}/")}
            for group in GROUPS
        }
        scale = arrays.get("loss_scale")
        return cls(
            **groups,
            iterations=int(arrays["iterations"]),
            loss_scale=None if scale is None else (float(scale[0]), int(scale[1])),
        )


def read_arrays(file: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an ``.npz`` file of a record.

    Raises:
        UserError: it is none.
    """
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"The artifact {file.name} of the run is no file of arrays ({error}).") from error
