"""Refuses data that Keras would refuse late and obscurely, or would train on to no good: one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from jointdec.errors import (
    BadArgument,
    LabelOutsideClasses,
    LengthMismatch,
    NotCompiled,
    NotFiniteInput,
    OptimizerInUse,
    UnknownOutput,
    did_you_mean,
)
from jointdec.training.arrays import Array, Place, first_place, in_slices
from jointdec.training.outputs import Output, Outputs, Target, Tree, along, loss_function, loss_option, own_function

Named = dict[str, Array]  # arrays by what to call them, e.g. "y['price']"


def require_compiled(model: Any) -> None:  # noqa: ANN401 (whatever a user gives)
    """Raise BadArgument for what is no Keras model, NotCompiled for one without ``compile``."""
    if not isinstance(model, keras.Model):
        raise BadArgument(f"The model is a {type(model).__name__}, but must be a compiled Keras model.")
    if not model.compiled:
        raise NotCompiled("The model is not compiled: call model.compile(optimizer=..., loss=...) first.")


def require_own_optimizer(model: keras.Model) -> None:
    """Raise OptimizerInUse where the optimizer's state belongs to other variables than the model's."""
    optimizer = model.optimizer
    if optimizer is None or not optimizer.built:
        return
    known = {id(v) for v in optimizer._trainable_variables}
    unknown = [v for v in model.trainable_variables if id(v) not in known]
    if own_function(model) == "train_step" and len(unknown) < len(model.trainable_variables):
        return  # a step of the model's own may train a part
    if unknown or (known and not model.built):
        what = f"{unknown[0].path!r}" if unknown else "the variables of this model"
        raise OptimizerInUse(
            f"The optimizer ({optimizer.name}) has already trained other variables and does not know {what}: "
            "compile the model with a new one, e.g. type(optimizer).from_config(optimizer.get_config())."
        )


def require_rows(arrays: Named) -> None:
    """Raise LengthMismatch unless all arrays have the same number of rows, BadArgument unless there are some."""
    first, *others = arrays
    for name in others:
        if len(arrays[name]) != len(arrays[first]):
            raise LengthMismatch(
                f"{first} has {len(arrays[first]):,} rows, but {name} has {len(arrays[name]):,}: "
                "every array needs one row for each example."
            )
    if len(arrays[first]) == 0:
        raise BadArgument(f"{first} has no rows: at least one example is needed.")


def require_finite(arrays: Named) -> None:
    """Raise NotFiniteInput for NaN, Inf or a number that floatx cannot hold, with its row."""
    for name, array in arrays.items():
        place = not_finite(array)
        if place:
            raise NotFiniteInput(f"{name} {_found(array, place)}: mend or leave out such rows.")


def require_finite_labels(labels: Named, outputs: Outputs | None) -> None:
    """Raise NotFiniteInput for labels that make the loss NaN.

    A loss of the user's own may be made for them: it is asked what it makes of such a row. Where the model's own
    function decides about the loss, nobody can be asked, and nothing is refused.
    """
    if outputs is None:
        return
    for name, array in labels.items():
        place = not_finite(array)
        if place is None or any(t.labels is array and _takes(t, place.row) for t in outputs.targets):
            continue
        raise NotFiniteInput(
            f"{name} {_found(array, place)}, and so would be the loss, also with a sample weight of 0, for 0 x nan is "
            "nan: give such labels any finite number and a sample weight of 0, or leave out the rows."
        )


def not_finite(array: Array) -> Place | None:
    """The first number that isn't finite as Keras sees it; looked for in slices."""
    if array.dtype.kind in "iub":
        return None
    return first_place(array, lambda rows: ~np.isfinite(rows))


def require_inputs(model: keras.Model, x: Tree) -> None:
    """Raise UnknownOutput for keys of x that are no inputs of a functional model."""
    expected = getattr(model, "_inputs_struct", None)
    if not isinstance(x, Mapping) or expected is None:
        return
    names = list(expected) if isinstance(expected, Mapping) else [tensor.name for tensor in model.inputs]
    # inputs in a list are picked from x by name, and more keys do no harm; where the model's inputs are a dict, Keras
    # sorts x by its keys and gives each input what stands at its place
    known = names if isinstance(expected, Mapping) else [*names, *x]
    require_keys(("x", "input of the model"), x, known, needed=names)


def require_labels(y: Tree, outputs: Outputs | None, compiled_loss: Any) -> None:  # noqa: ANN401
    """Raise UnknownOutput for keys of y that are no outputs, BadArgument where Keras cannot find an output's labels.

    Nothing is refused where the model's own function decides about the loss.
    """
    if outputs is None or compiled_loss is None:
        return
    if y is None:
        raise BadArgument("y is None, but the model is compiled with a loss: give its labels.")
    names = [output.name for output in outputs.all]
    if isinstance(y, Mapping) and not isinstance(outputs.tree, Mapping) and len(names) == 1:
        raise BadArgument(f"y is a dict with the keys {list(y)}, but the model has one output: give its labels alone.")
    if isinstance(y, Mapping) and keras.tree.is_nested(outputs.tree):
        valid = list(outputs.tree) if isinstance(outputs.tree, Mapping) else names
        require_keys(("y", "output of the model"), y, valid, needed=_trained(valid, compiled_loss))
    for target in outputs.targets:
        if not isinstance(target.labels, np.ndarray) and not keras.tree.is_nested(target.labels):
            raise BadArgument(f"y has no labels for the output {target.output.name!r}, which is compiled with a loss.")


def require_weights(sample_weight: Tree, outputs: Outputs | None) -> None:
    """Raise BadArgument where Keras would not find an output's weights: they must lie as the outputs do."""
    if outputs is None or not keras.tree.is_nested(sample_weight):
        return
    for target in outputs.targets:
        try:
            found = not isinstance(along(target.output.path, sample_weight), Mapping)
        except (KeyError, TypeError, IndexError):
            found = False
        if not found:
            nested = keras.tree.is_nested(outputs.tree)
            kind = "a dict" if isinstance(outputs.tree, Mapping) else "a tuple" if nested else "one array"
            raise BadArgument(
                f"Keras finds no sample weights for the output {target.output.name!r}: the model returns {kind}, so "
                f"give y and sample_weight as {kind}, too."
            )


def require_classes(labels: Named, outputs: Outputs | None) -> None:
    """Raise LabelOutsideClasses for labels of a sparse loss that are no class indices."""
    for target in outputs.targets if outputs else []:
        sparse = loss_function(target.loss) is keras.losses.sparse_categorical_crossentropy
        classes = target.output.spec.shape[-1] if target.output.spec is not None else None
        if not sparse or classes is None or not isinstance(target.labels, np.ndarray):
            continue
        ignored = loss_option(target.loss, "ignore_class")
        place = first_place(target.labels, lambda rows, n=classes, skip=ignored: _no_class(rows, n, skip))  # type: ignore[misc]
        if place:
            name = next((name for name, array in labels.items() if array is target.labels), "y")
            raise LabelOutsideClasses(
                f"{name} holds {place.value} {_where(place)}, but {target.output.name!r} has {classes} classes, and "
                f"{target.loss.name} takes their numbers, 0 to {classes - 1}."
            )


def require_keys(what: tuple[str, str], tree: Mapping[Any, Any], known: list[Any], needed: list[Any]) -> None:
    """Raise UnknownOutput for a key that isn't known, or one that is needed and missing.

    Args:
        what: e.g. ``("y", "output of the model")``.
        tree: what has the keys.
        known: keys that it may have.
        needed: keys that it must have.
    """
    root, kind = what
    for key in tree:
        if key not in known:
            valid, meant = ", ".join(map(repr, known)), did_you_mean(str(key), [str(name) for name in known])
            raise UnknownOutput(f"{root} has the key {key!r}, which is no {kind}{meant}; valid: {valid}.")
    for key in needed:
        if key not in tree:
            given = ", ".join(map(repr, tree))
            raise UnknownOutput(f"{root} has nothing for {key!r}, which is an {kind}; its keys are {given}.")


def _no_class(rows: Array, classes: int, ignored: int | None) -> npt.NDArray[np.bool_]:
    bad: npt.NDArray[np.bool_] = (rows < 0) | (rows >= classes)
    if rows.dtype.kind not in "iub":
        bad |= rows != np.floor(rows)
    return bad if ignored is None else bad & (rows != ignored)


def _trained(names: list[str], compiled_loss: Any) -> list[str]:  # noqa: ANN401
    """Outputs that need labels: with a dict of losses those that have one."""
    loss = compiled_loss._user_loss
    return [name for name in names if loss.get(name) is not None] if isinstance(loss, Mapping) else names


def _takes(target: Target, row: int) -> bool:
    """Whether a loss makes a finite number of a row of labels that aren't."""
    output: Output = target.output
    if output.spec is None or None in output.spec.shape[1:]:
        return False
    labels = next(rows for _, rows in in_slices(target.labels[row : row + 1]))
    middling = np.full((1, *output.spec.shape[1:]), 0.5, output.spec.dtype)  # finite as logits and as probabilities
    try:
        return bool(np.isfinite(keras.ops.convert_to_numpy(target.loss(labels, middling))).all())
    except Exception:  # TensorFlow's kernel for class indices refuses them
        return False


def _found(array: Array, place: Place) -> str:
    """E.g. "holds nan in row 3"."""
    given = array[(place.row, *place.inside)]
    too_large = f", which {keras.config.floatx()} cannot hold" if np.isfinite(given) else ""
    return f"holds {given} {_where(place)}{too_large}"


def _where(place: Place) -> str:
    inside = f" (index {list(place.inside)} in it)" if place.inside else ""
    return f"in row {place.row:,}{inside}"
