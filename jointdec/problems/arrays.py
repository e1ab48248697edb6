"""Anybody's numbers in an .npz file: ``problem=arrays data.path=my.npz``. The heads are read from the file.

    np.savez("my.npz", **{"x": x, "y/price": price, "y/kind": kind, "w/price": known})

``x`` (n, ...), or ``x/NAME`` for several inputs; labels ``y/HEAD`` (n, ...); ``w/HEAD`` (n, ...) where labels have
weights, 0 if one is missing. The kind of a head follows from its labels: whole numbers are classes; truth values are
classes too, or multilabel where a row has several; floats that sum to 1 over the last axis are a distribution; other
floats are real.
Where this is not what is meant, the file says it: ``"kind/price": "counts"``, or ``"kind/tags": "multilabel"`` for a
matrix of 0 and 1 in whole numbers.

For jointdec the problem is ``arrays:my.npz``, so that every process finds its heads again.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jointdec.dataset import Array, map_leaves
from jointdec.errors import UserError, did_you_mean
from jointdec.labels import ROUNDING
from jointdec.problem import KINDS, Head, Problem

if TYPE_CHECKING:
    from jointdec.config import Config

NAME = "arrays"
FORMAT = "an .npz file with x or x/NAME, y/HEAD and, where labels are missing, w/HEAD"
MANY = 10_000  # classes of one head, beyond which numbers or identifiers are meant
GROUPS = ("x", "y", "w", "kind")


@dataclass(frozen=True, eq=False)
class Arrays(Problem):
    """The problem of one file.

    Attributes:
        path: the file, as the user wrote it.
    """

    path: str = ""

    def check(self, config: Config) -> None:
        """See `Problem.check`."""
        given = getattr(config.data, "path", None)
        if given != self.path:
            raise UserError(
                f"data.path is {given!r}, but the heads were read from {self.path!r}: "
                f"give {NAME} its file on the command line, as data.path=my.npz."
            )


def of_file(path: str) -> Arrays:
    """The problem whose heads this file holds.

    Raises:
        UserError: there is no file, or it is not as it must be.
    """
    if not path:
        raise UserError(f"problem={NAME} needs data.path=my.npz, {FORMAT}.")
    found = _by_group(_read(path), path)
    x, labels, weights = found["x"].get("", found["x"]), found["y"], found["w"]
    kinds = {head: _kind(head, labels[head], weights.get(head), found["kind"], path) for head in labels}
    shapes = {head: _outputs(head, kinds[head], labels[head], weights.get(head)) for head in labels}

    def data(path: str = path) -> tuple[Any, Mapping[str, Array], Mapping[str, Array]]:
        """Inputs as float32, labels and weights of the file."""
        return map_leaves(lambda array: array.astype(np.float32), x), labels, weights

    def model(trunk: tuple[int, ...] = (64, 64)) -> Any:  # noqa: ANN401 (a keras.Model)
        """Hidden layers of these widths that all heads share, and one linear layer a head."""
        return _network(map_leaves(lambda array: array.shape[1:], x), trunk, shapes)

    return Arrays(data=data, model=model, heads={head: Head(kind) for head, kind in kinds.items()}, path=path)


def _network(inputs: Any, trunk: tuple[int, ...], heads: Mapping[str, tuple[int, ...]]) -> Any:  # noqa: ANN401
    from keras import Input, Model, layers

    named = inputs if isinstance(inputs, Mapping) else {"x": inputs}
    symbols = {name: Input(shape, name=name) for name, shape in named.items()}
    flat = [layers.Reshape((prod(named[name]),))(symbol) for name, symbol in symbols.items()]
    shared = flat[0] if len(flat) == 1 else layers.Concatenate()(flat)
    for number, width in enumerate(trunk, 1):
        shared = layers.Dense(width, activation="relu", name=f"trunk_{number}")(shared)
    outputs = {
        head: layers.Reshape(shape, name=head)(layers.Dense(prod(shape), name=f"{head}_dense")(shared))
        for head, shape in heads.items()
    }
    return Model(symbols if isinstance(inputs, Mapping) else symbols["x"], outputs)


def _read(path: str) -> dict[str, Array]:
    file = Path(path).expanduser()
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise UserError(f"data.path is {path!r}, but must be {FORMAT}.")
            if "features" in arrays.files:
                raise UserError(
                    f"data.path is {path!r}, arrays of molecules: train them with problem=molecules data=arrays."
                )
            return dict(arrays)
    except FileNotFoundError as error:
        raise UserError(f"data.path is {path!r}, but there is no such file.") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"data.path is {path!r}, which cannot be read ({error}): it must be {FORMAT}.") from error


def _by_group(arrays: Mapping[str, Array], path: str) -> dict[str, dict[str, Any]]:
    """The arrays by what stands before the slash, and then by what stands behind it."""
    found: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    for name, array in arrays.items():
        group, _, rest = name.partition("/")
        if group not in GROUPS or (not rest) != (name == "x"):
            raise UserError(f"{path} holds an array {name!r}, but must be {FORMAT}; kind/HEAD says a head's kind.")
        found[group][rest] = array
    if not found["x"] or not found["y"] or ("" in found["x"] and len(found["x"]) > 1):
        raise UserError(f"{path} holds {', '.join(arrays) or 'nothing'}, but must be {FORMAT}.")
    for group in ("w", "kind"):
        for head in found[group]:
            if head not in found["y"]:
                near = did_you_mean(head, list(found["y"]))
                raise UserError(f"{path} holds '{group}/{head}', but no 'y/{head}'{near}.")
    for name, array in arrays.items():
        if not name.startswith("kind/") and (not array.ndim or not array.size):
            raise UserError(f"{path} holds the array {name!r} of shape {array.shape}, which has no rows or no numbers.")
    return found


def _kind(head: str, labels: Array, weights: Array | None, told: Mapping[str, Array], path: str) -> str:
    """What the file says, or what the labels that are there look like."""
    if head in told:
        kind = str(told[head])
        if kind not in KINDS:
            raise UserError(
                f"'kind/{head}' in {path} is {kind!r}{did_you_mean(kind, list(KINDS))}, but must be one of "
                f"{', '.join(KINDS)}."
            )
        return kind
    if labels.dtype.kind not in "biuf":
        raise UserError(f"'y/{head}' in {path} is of type {labels.dtype}, but labels are numbers.")
    if labels.dtype.kind == "b":
        return "classes" if labels[0].size == 1 else "multilabel"
    if labels.dtype.kind in "iu":
        return "classes"
    there = _there(labels, weights)
    several = there.ndim > 1 and there.shape[-1] > 1
    sums_to_one = several and bool((there >= 0).all() and (np.abs(there.sum(-1) - 1) < ROUNDING).all())
    return "distribution" if sums_to_one else "real"


def _outputs(head: str, kind: str, labels: Array, weights: Array | None) -> tuple[int, ...]:
    """The shape of the head's output for one example."""
    shape = labels.shape[1:]
    if kind == "classes" or (kind == "distribution" and labels.dtype.kind in "biu"):
        places = shape[:-1] if shape[-1:] == (1,) else shape
        largest = np.nan_to_num(_there(labels, weights).astype(np.float64), posinf=0).max(initial=1)
        if largest >= MANY:
            raise UserError(
                f"'y/{head}' holds whole numbers up to {largest:.0f}, too many classes: if they are numbers, save "
                f"'kind/{head}' with them, 'real' or 'counts'."
            )
        return (*places, int(largest) + 1)
    return shape or (1,)


def _there(labels: Array, weights: Array | None) -> Array:
    """The rows of which a label is there."""
    if weights is None or len(weights) != len(labels):
        return labels
    there: Array = labels[weights.reshape(len(weights), -1).max(1) > 0]
    return there
