"""One array of a user's data, as Keras's own ``fit`` would read it, and looked through a slice at a time.

What Keras does, and this module with it: floats of any width become ``keras.config.floatx()``, everything else keeps
its dtype; a pandas Series (n,) becomes (n, 1), a DataFrame (n, columns).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from jointdec.errors import BadArgument

Array = npt.NDArray[Any]
SLICE_BYTES = 2**24  # looked at at once: a mapped file of any size passes through 16 MB

MENDING = {  # by NumPy's kind of dtype
    "O": "numbers are needed, e.g. class indices by np.unique(labels, return_inverse=True)[1]",
    "U": "numbers are needed, e.g. class indices by np.unique(labels, return_inverse=True)[1]",
    "S": "numbers are needed, e.g. class indices by np.unique(labels, return_inverse=True)[1]",
    "c": "give its .real and .imag as two arrays",
    "M": "give numbers, e.g. the days since some date",
    "m": "give numbers, e.g. seconds",
}


class Place(NamedTuple):
    """Where something stands in an array."""

    row: int
    inside: tuple[int, ...]  # the row, its index
    value: Any


def read_array(value: Any, name: str) -> Array:  # noqa: ANN401 (whatever a user gives)
    """The array (n, ...) that Keras would train on, not ``cast`` yet: a wide float can still be shown as it was given.

    Args:
        value: NumPy or memory-mapped array, TensorFlow or other tensor, pandas Series or DataFrame.
        name: what to call it in an error, e.g. ``"y['price']"``.

    Raises:
        BadArgument: it is no array with rows, or of a dtype that no model takes.
    """
    array = _frame(value, name) if isinstance(value, pd.DataFrame | pd.Series) else _array(value, name)
    _require_dtype(array.dtype, name)
    if array.ndim == 0:
        raise BadArgument(f"{name} is the single number {array}, but needs one row for each example: give an array.")
    return array


def named_leaves(root: str, tree: Any, where: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """(what to call it, leaf) for every leaf of a tree, e.g. ("y['price']", array)."""
    for path, leaf in keras.tree.flatten_with_path(tree):
        yield root + "".join(f"[{step!r}]" for step in path) + where, leaf


def cast(array: Array) -> Array:
    """As Keras sees it: floats in ``floatx``, in the machine's byte order; the same array where it already is."""
    with np.errstate(over="ignore"):  # a number too large becomes Inf, which is refused with its place
        return array.astype(keras_dtype(array.dtype), copy=False)


def keras_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of ``cast``."""
    floating = keras.backend.is_float_dtype(dtype.name)
    return np.dtype(keras.config.floatx()) if floating else dtype.newbyteorder("=")


def is_mapped(array: Any) -> bool:  # noqa: ANN401 (the base of an array may be anything)
    """Whether its memory is a file's, also through views."""
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


def first_place(array: Array, bad: Callable[[Array], npt.NDArray[np.bool_]]) -> Place | None:
    """The first element that ``bad`` (a slice of rows, cast -> booleans of its shape) marks, or None."""
    for start, rows in in_slices(array):
        marked = bad(rows)
        if marked.any():
            index = tuple(int(i) for i in np.unravel_index(int(marked.argmax()), marked.shape))
            return Place(start + index[0], index[1:], rows[index])
    return None


def in_slices(array: Array) -> Iterator[tuple[int, Array]]:
    """(number of the first row, rows as Keras sees them), from first to last."""
    row_bytes = max(1, array.itemsize * int(np.prod(array.shape[1:])))
    step = max(1, SLICE_BYTES // row_bytes)
    for start in range(0, len(array), step):
        yield start, cast(array[start : start + step])


def _array(value: Any, name: str) -> Array:  # noqa: ANN401
    kind = type(value).__name__
    if hasattr(value, "tocoo") or kind in ("SparseTensor", "RaggedTensor"):
        raise BadArgument(
            f"{name} is a {kind}, but must be dense: convert it by .toarray(), tf.sparse.to_dense(...) or .to_tensor()."
        )
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, int | float | str | bytes) or not hasattr(value, "__array__"):
        shown = repr(value) if isinstance(value, int | float | str) else f"a {kind}"
        raise BadArgument(
            f"{name} is {shown}, but must be an array, a tensor, a pandas object, or a tuple, list or dict of these: "
            "make a list of numbers one by np.array(...), and give data sets and generators to model.fit."
        )
    try:
        return np.asarray(value)
    except Exception as error:  # whatever a foreign __array__ raises
        raise BadArgument(
            f"{name} is a {kind} that cannot be read as an array ({error}): give a NumPy array."
        ) from error


def _frame(value: Any, name: str) -> Array:  # noqa: ANN401 (pandas has no types here)
    """As Keras: the whole frame in floatx where one of its columns is another float."""
    columns = value.dtypes.items() if isinstance(value, pd.DataFrame) else [(None, value.dtype)]
    for column, dtype in columns:
        part = name if column is None else f"column {column!r} of {name}"
        if not isinstance(dtype, np.dtype):
            raise BadArgument(
                f"{part} has pandas' own dtype {dtype}, which Keras does not take: convert it by .astype('float32')."
            )
        _require_dtype(dtype, part)
    if isinstance(value, pd.Series):
        array: Array = value.to_numpy()[:, None]
        return array
    floats = [dtype for dtype in value.dtypes if keras.backend.is_float_dtype(dtype.name)]
    if any(dtype.name != keras.config.floatx() for dtype in floats):
        value = value.astype(keras.config.floatx())
    array = value.to_numpy()
    if array.dtype == object:
        raise BadArgument(f"{name} mixes booleans with numbers: convert it, e.g. by .astype('float32').")
    return array


def _require_dtype(dtype: np.dtype[Any], name: str) -> None:
    try:
        keras.backend.standardize_dtype(dtype.name)
        known = dtype.kind not in MENDING
    except ValueError:
        known = False
    if not known:
        mending = MENDING.get(dtype.kind, "convert it, e.g. by .astype('float32')")
        raise BadArgument(f"{name} is of dtype {dtype}, which no model can train on: {mending}.")
