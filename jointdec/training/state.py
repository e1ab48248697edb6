"""What a training step starts from: every variable by its path; as arrays, and as an ``.npz`` file.

Weights, the optimizer's variables, BatchNorm's moving averages, seed generators, the loss scale, metrics: copies of them
are all that checkpoints, the guard against divergence, replay and "start over" need, and there is nothing else.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.errors import UserError

PREFIX = "state/"  # of a variable's path in the file


@dataclass(frozen=True, eq=False)
class State:
    """The state between two steps.

    Attributes:
        values: path -> value; arrays, or tensors that a variable's next value does not overwrite.
    """

    values: Mapping[str, Any]

    def __getitem__(self, path: str) -> npt.NDArray[Any]:
        return np.asarray(self.values[path])

    def save(self, file: Path, **more: npt.NDArray[Any]) -> None:
        """Write the state, and further arrays beside it; there is nothing in it that needs pickle."""
        arrays = {f"{PREFIX}{path}": _known_to_numpy(np.asarray(value)) for path, value in self.values.items()}
        np.savez_compressed(file, **(arrays | more))  # type: ignore[arg-type]  # for NumPy's stub it might be allow_pickle

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> State:
        """The state among the arrays that `save` wrote; KeyError where there is none."""
        values = {name.removeprefix(PREFIX): value for name, value in arrays.items() if name.startswith(PREFIX)}
        if not values:
            raise KeyError(PREFIX)
        return cls(values)


def _known_to_numpy(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers in a type of NumPy's own: bfloat16 is none, and its bytes would come back without a type."""
    return value.astype(np.float32) if value.dtype.kind == "V" else value


def by_path(variables: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Variables, given with their paths, each once; equal paths of several are told apart by a number behind them."""
    found: dict[str, Any] = {}
    seen = set[int]()
    for wanted, variable in variables:
        if id(variable) in seen:
            continue
        seen.add(id(variable))
        path, number = wanted, 1
        while path in found:
            number += 1
            path = f"{wanted}#{number}"
        found[path] = variable
    return found


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


def moment_path(name: str, moment: str) -> str:
    """Where Keras keeps Adam's ``momentum`` (m) or ``velocity`` (v) of a variable, e.g. adam/nodes_1_kernel_momentum."""
    return f"adam/{name.replace('/', '_')}_{moment}"
