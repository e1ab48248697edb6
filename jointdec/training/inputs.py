"""What a user gives ``fit``, as trees of arrays that are fit to train on: the rows that Keras's own ``fit`` would see.

``read_examples`` converts as Keras does and refuses, in one sentence each, what Keras would refuse late or train on to
no good. Lists become tuples, as Keras's data adapter makes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from jointdec.errors import BadArgument, UnknownOutput
from jointdec.training import checks
from jointdec.training.arrays import Array, cast, in_slices, is_mapped, keras_dtype, named_leaves, read_array
from jointdec.training.outputs import Tree, read_outputs


@dataclass(frozen=True)
class Examples:
    """Trees of arrays that all have one row for each example.

    Floats are in ``keras.config.floatx()``, but for memory-mapped arrays: they stay in the file's dtype until ``rows``
    takes them.

    Args:
        x: inputs of the model: an array (n, ...), or a tuple or dict of such.
        y: labels, or None.
        sample_weight: weights (n,) or (n, ...), one array or a tree as y, or None.
        weighted_by_class: sample_weight was made of class weights, which Keras uses for training only.
    """

    x: Tree
    y: Tree = None
    sample_weight: Tree = None
    weighted_by_class: bool = False

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self._leaves()[0])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays as ``rows`` gives them."""
        return sum(leaf.size * keras_dtype(leaf.dtype).itemsize for leaf in self._leaves())

    def tree(self) -> tuple[Any, ...]:
        """What Keras hands to ``train_step``: (x,), (x, y) or (x, y, sample_weight)."""
        if self.sample_weight is not None:
            return self.x, self.y, self.sample_weight
        return (self.x,) if self.y is None else (self.x, self.y)

    def rows(self, indices: npt.NDArray[np.integer[Any]] | slice) -> Examples:
        """These examples in this order, in memory (a slice of arrays in memory is a view of them)."""
        return self._each(lambda array: cast(array[indices]))

    def _each(self, change: Any) -> Examples:  # noqa: ANN401 (array -> array)
        trees = {"x": self.x, "y": self.y, "sample_weight": self.sample_weight}
        mapped = {
            name: keras.tree.map_structure(lambda leaf: None if leaf is None else change(leaf), tree)
            for name, tree in trees.items()
        }
        return replace(self, **mapped)

    def _leaves(self) -> list[Array]:
        return [leaf for leaf in keras.tree.flatten((self.x, self.y, self.sample_weight)) if leaf is not None]


def read_examples(  # noqa: PLR0913 (what Keras takes, and one by keyword)
    model: keras.Model,
    x: Any,  # noqa: ANN401 (whatever Keras takes)
    y: Any = None,  # noqa: ANN401
    sample_weight: Any = None,  # noqa: ANN401
    class_weight: Mapping[int, float] | None = None,
    *,
    looks: bool = True,
) -> Examples:
    """What the model trains on. A model that is not built yet is built, as by Keras's own fit.

    Args:
        model: compiled.
        x: an array, tensor, Series or DataFrame with a row for each example, or a tuple, list or dict of such.
        y: labels likewise; None for a model that has no compiled loss.
        sample_weight: weights (n,) or (n, 1) for all outputs, or one array (or None) for each output, lying as in y.
        class_weight: weight of each class, 1 for those that it lacks; for a model with one output.
        looks: refuse numbers that are not finite and labels that are no class, not only shapes.

    Raises:
        UserError: one of ``jointdec.errors``, with a sentence that says what to do.
    """
    return _read(model, (x, y, sample_weight), class_weight, where="", looks=looks)


def unpack_validation(model: keras.Model, validation_data: Any) -> Examples:  # noqa: ANN401
    """``(x, y)`` or ``(x, y, sample_weight)`` as examples; errors call them "x of validation_data".

    Raises:
        UserError: as read_examples.
    """
    parts = validation_data if isinstance(validation_data, tuple | list) else (validation_data,)
    if not 1 <= len(parts) <= 3:
        raise BadArgument(f"validation_data has {len(parts)} parts, but must be (x, y) or (x, y, sample_weight).")
    return _read(model, (*parts, None, None)[:3], None, where=" of validation_data")


def split_off(examples: Examples, fraction: float) -> tuple[Examples, Examples]:
    """The examples without their last ones, and these: the rows of Keras's ``validation_split``, in order.

    Class weights stay with the first part, as in Keras.

    Raises:
        BadArgument: one of the parts would be empty.
    """
    size = examples.size
    if not (isinstance(fraction, int | float) and 0 < fraction < 1):
        raise BadArgument(f"validation_split is {fraction!r}, but must be between 0 and 1, e.g. 0.1.")
    kept = math.floor(size * (1.0 - fraction))
    if kept in (0, size):
        part = "to train on" if kept == 0 else "to validate on"
        raise BadArgument(f"validation_split={fraction} leaves none of {size:,} examples {part}: give another one.")
    first, last = (examples._each(lambda array, part=part: array[part]) for part in (slice(kept), slice(kept, None)))
    return first, replace(last, sample_weight=None, weighted_by_class=False) if examples.weighted_by_class else last


def _read(
    model: keras.Model,
    data: tuple[Any, Any, Any],
    class_weight: Any,  # noqa: ANN401
    where: str,
    looks: bool = True,
) -> Examples:
    checks.require_compiled(model)
    if data[0] is None:
        raise BadArgument(f"x{where} is None, but must hold the inputs.")
    x, y, sample_weight = (_arrays(root, tree, where) for root, tree in zip(ROOTS, data, strict=True))
    checks.require_rows(_named("x", x, where) | _named("y", y, where) | _named("sample_weight", sample_weight, where))
    checks.require_inputs(model, x)
    outputs = read_outputs(model, x, y)
    checks.require_own_optimizer(model)
    checks.require_labels(y, outputs, model._compile_loss)
    labels = _named("y", y, where)
    if looks:
        checks.require_finite_labels(labels, outputs)
        checks.require_classes(labels, outputs)
    if class_weight is not None:
        sample_weight = _class_weights(y, sample_weight, class_weight)
    else:
        sample_weight = _spread(y, sample_weight)
    checks.require_weights(sample_weight, outputs)
    if looks:
        checks.require_finite(_named("x", x, where) | _named("sample_weight", sample_weight, where))
    examples = Examples(x, y, sample_weight, weighted_by_class=class_weight is not None)
    return examples._each(lambda array: array if is_mapped(array) else cast(array))


ROOTS = ("x", "y", "sample_weight")


def _arrays(root: str, tree: Any, where: str) -> Tree:  # noqa: ANN401
    leaves = [None if leaf is None else read_array(leaf, name) for name, leaf in named_leaves(root, tree, where)]
    return keras.tree.lists_to_tuples(keras.tree.pack_sequence_as(tree, leaves))


def _named(root: str, tree: Tree, where: str) -> checks.Named:
    return {name: leaf for name, leaf in named_leaves(root, tree, where) if leaf is not None}


def _spread(y: Tree, sample_weight: Tree) -> Tree:
    """Weights lying as the labels: one array for all outputs is given to each, as Keras does."""
    if sample_weight is None:
        return None
    if y is None:
        raise BadArgument("There is sample_weight, but no y: Keras would not use it; leave it out, or give labels.")
    if not keras.tree.is_nested(y):
        return sample_weight
    if not keras.tree.is_nested(sample_weight):
        if sample_weight.ndim > 1 and sample_weight.shape[1:] != (1,):
            raise BadArgument(
                f"sample_weight has the shape {sample_weight.shape}, but one array for all outputs needs "
                "(n,): give one array for each output."
            )
        return keras.tree.map_structure(lambda _: sample_weight, y)
    if isinstance(y, Mapping) and isinstance(sample_weight, Mapping):
        checks.require_keys(("sample_weight", "array of y"), sample_weight, list(y), needed=list(y))
    try:
        keras.tree.assert_same_structure(y, sample_weight)
    except ValueError:
        raise UnknownOutput(
            f"sample_weight lies as {_shape_of(sample_weight)}, but y as {_shape_of(y)}: give one array, or None, for "
            "each array of y."
        ) from None
    return sample_weight


def _class_weights(y: Tree, sample_weight: Tree, class_weight: Any) -> Array:  # noqa: ANN401
    """The weight of each row's class (n,), as Keras makes them; classes are y's numbers, or places of its largest."""
    if sample_weight is not None:
        raise BadArgument("Both class_weight and sample_weight are given, but Keras takes one: multiply them yourself.")
    if y is None or keras.tree.is_nested(y):
        raise BadArgument("class_weight needs y as one array, for a model with one output: give sample_weight instead.")
    if not isinstance(class_weight, Mapping) or not all(isinstance(c, int | np.integer) for c in class_weight):
        raise BadArgument(
            f"class_weight is {class_weight!r}, but must be a dict from class numbers to weights: {{0: 1.0, 1: 5.0}}."
        )
    if y.ndim > 2:
        raise BadArgument(
            f"class_weight needs one class for each example, but y has the shape {y.shape}: give sample_weight instead."
        )
    weights = np.ones(len(y), keras.config.floatx())
    for start, rows in in_slices(y):
        flat = rows.reshape(len(rows), -1)
        with np.errstate(invalid="ignore"):  # a label that isn't finite has no class, and the weight 1
            classes = flat.argmax(-1) if flat.shape[1] > 1 else np.round(flat[:, 0]).astype("int32")
        for number, weight in class_weight.items():
            weights[start : start + len(rows)][classes == number] = weight
    return weights


def _shape_of(tree: Tree) -> str:
    return str(keras.tree.map_structure(lambda leaf: None if leaf is None else "array", tree)).replace(
        "'array'", "array"
    )
