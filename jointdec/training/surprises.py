"""Where Keras matches by the alphabet or by broadcasting, and trains on without a word: sentences for its user.

Only where the result really isn't what the words say: Keras squeezes (n, 1) against (n,) by itself for its own losses
and for functions, and a list in the order of the alphabet goes where it seems to go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras.src import backend
from keras.src.losses.loss import squeeze_or_expand_to_same_rank

from jointdec.training.outputs import Output, Outputs, Target, Tree, along, loss_function

PROBES = 3  # rows that a loss is tried on
BATCH = 97  # of symbolic shapes: no other dimension, so that nothing matches it by chance
ELEMENTWISE = (
    keras.losses.mean_squared_error,
    keras.losses.mean_absolute_error,
    keras.losses.mean_absolute_percentage_error,
    keras.losses.mean_squared_logarithmic_error,
    keras.losses.huber,
    keras.losses.log_cosh,
    keras.losses.poisson,
    keras.losses.hinge,
    keras.losses.squared_hinge,
)


class Measured(NamedTuple):
    """The metrics of an output and the labels that Keras gives them."""

    output: Output
    labels: Any
    metrics: list[Any]


def order_warnings(model: keras.Model, y: Tree, outputs: Outputs, measured: Sequence[Measured]) -> Iterator[str]:
    """Losses, weights, metrics and labels that go to other outputs than they seem to."""
    if len(outputs.all) == 1:
        yield from _second_loss_unused(y, outputs)
        return
    written = list(outputs.tree) if isinstance(outputs.tree, Mapping) else []
    if len(written) == len(outputs.all):
        yield from _lists_over_a_dict(model, y, outputs, measured)
    yield from _weights_dealt(model, outputs, written)
    trained = {target.output.path: target.labels for target in outputs.targets}
    for one in measured:
        if one.metrics and trained.get(one.output.path, one.labels) is not one.labels:
            yield (
                f"The metrics of {one.output.name!r} get the labels of another output, unlike its loss: write y and "
                "metrics as dicts, and name each output's last layer as the output."
            )


def shape_warnings(outputs: Outputs, measured: Sequence[Measured]) -> Iterator[str]:
    """Labels whose shape a loss or metric broadcasts, so that its number isn't that of label against output."""
    for target in outputs.targets:
        if _usable(target.labels, target.output):
            if not _same_in_place(target.loss, target.labels, target.output.spec):
                yield _broadcast(f"the loss {target.loss.name}", target.labels, target.output)
            elif loss_function(target.loss) in ELEMENTWISE and _stretched(target.labels, target.output.spec):
                yield (
                    f"The labels of {target.output.name!r} have the shape {_rows(target.labels)}, the output "
                    f"{_rows(target.output.spec)}, and {target.loss.name} repeats the smaller one: is this meant?"
                )
    for one in measured:
        for metric in one.metrics if _usable(one.labels, one.output) else []:
            function = getattr(metric, "_fn", None)
            if function and not _same_in_place(_of_tensors(function, metric._fn_kwargs), one.labels, one.output.spec):
                yield _broadcast(f"the metric {metric.name}", one.labels, one.output)


def weight_warnings(outputs: Outputs, sample_weight: Tree) -> Iterator[str]:
    """Sample weights that do not weigh the rows or places that they stand for."""
    for target in outputs.targets if sample_weight is not None else []:
        nested = keras.tree.is_nested(sample_weight)
        weights = along(target.output.path, sample_weight) if nested else sample_weight
        values = _values(target)
        if weights is None or keras.tree.is_nested(weights) or values is None:
            continue
        name = f"{target.loss.name} of {target.output.name!r}"
        if not values.shape:
            yield f"{name} is one number a batch, so sample weights cannot weigh examples: return one a row."
            continue
        symbolic = keras.KerasTensor((BATCH, *weights.shape[1:]))
        squeezed, weighing = squeeze_or_expand_to_same_rank(values, symbolic)
        if len(squeezed.shape) != len(weighing.shape):
            one_a_row = f", or {shown([1] * len(values.shape[1:]))} for one a row" if values.shape[1:] else ""
            yield (
                f"The sample weights have the shape {_rows(weights)}, but {name} has values of the shape "
                f"{_rows(values)}: Keras aligns their last axes, which fails, or weighs the wrong values where sizes "
                f"happen to agree; give weights of the shape {_rows(values)}{one_a_row}."
            )


def _lists_over_a_dict(model: keras.Model, y: Tree, outputs: Outputs, measured: Sequence[Measured]) -> Iterator[str]:
    """What is dealt out in the order of the keys' alphabet, where the model's author wrote them in another."""
    written, alphabet = list(outputs.tree), [output.name for output in outputs.all]
    loss = model._compile_loss._user_loss if model._compile_loss else None
    metrics = model._compile_metrics._user_metrics if model._compile_metrics else None
    lists = [
        ("losses", "loss", loss if outputs.targets else None, alphabet),
        ("labels", "y", y, alphabet),
        ("metrics", "metrics", metrics if measured else None, [one.output.name for one in measured]),
    ]
    for what, argument, given, order in lists:
        if isinstance(given, list | tuple) and order != written and _differ(given):
            named = ", ".join(f"{name!r}: ..." for name in written)
            yield (
                f"The {what} are a list, but the model returns a dict, so Keras gives them to {', '.join(order)}, in "
                f"this order: write {argument}={{{named}}}."
            )


def _differ(given: Sequence[Any]) -> bool:
    """Whether it matters which goes where; two objects of one configuration are alike."""
    kinds = [(type(one), one.get_config()) if hasattr(one, "get_config") else one for one in given]
    return any(one is not kinds[0] and (isinstance(one, np.ndarray) or one != kinds[0]) for one in kinds)


def _second_loss_unused(y: Tree, outputs: Outputs) -> Iterator[str]:
    if len(outputs.targets) > 1 and not keras.tree.is_nested(y) and not keras.tree.is_nested(outputs.tree):
        first, *others = (target.loss.name for target in outputs.targets)
        yield f"With one output, Keras uses only the first of its losses, {first}, not {', '.join(others)}."


def _weights_dealt(model: keras.Model, outputs: Outputs, written: list[str]) -> Iterator[str]:
    compiled = model._compile_loss
    weights = compiled._user_loss_weights if compiled else None
    named = list(compiled._user_loss) if compiled and isinstance(compiled._user_loss, Mapping) else written
    if isinstance(weights, list | tuple) and named and len(named) == len(weights):
        weights = dict(zip(named, weights, strict=True))
    if not isinstance(weights, Mapping):
        return
    if any(weights.get(target.output.name) is not target.weight for target in outputs.targets):
        dealt = ", ".join(f"{target.weight} to {target.output.name!r}" for target in outputs.targets)
        yield f"The loss_weights are not named as the outputs, so Keras goes by order, {dealt}: name every output."


def _usable(labels: Any, output: Output) -> bool:  # noqa: ANN401 (what Keras took for labels)
    return isinstance(labels, np.ndarray) and output.spec is not None


def _sizes(labels: Any, spec: Any) -> tuple[int, ...]:  # noqa: ANN401
    """The shape of one prediction; a size that the model leaves open is that of the labels there."""
    given = (*labels.shape[1:], *[1] * len(spec.shape))
    return tuple(given[axis] if size is None else size for axis, size in enumerate(spec.shape[1:]))


def _same_in_place(function: Callable[[Any, Any], Any], labels: Any, spec: Any) -> bool:  # noqa: ANN401
    """Whether labels (n,) give what the same labels in the output's shape (n, 1) give; tried on numbers."""
    shape = (PROBES, *_sizes(labels, spec))
    as_given = (PROBES, *labels.shape[1:])
    if as_given == shape or np.prod(as_given) != np.prod(shape):
        return True
    random = np.random.default_rng(0)
    predictions = random.uniform(0.1, 0.9, shape).astype("float32")
    numbers = random.integers(0, 2, shape) if labels.dtype.kind in "iub" else random.uniform(0.1, 0.9, shape)
    numbers = numbers.astype(labels.dtype if labels.dtype.kind in "iub" else "float32")
    try:
        given, in_place = (function(numbers.reshape(form), predictions) for form in (as_given, shape))
    except Exception:  # it refuses one of them, so nothing goes wrong without a word
        return True
    return bool(np.isclose(np.mean(given), np.mean(in_place), rtol=1e-4))


def _of_tensors(function: Callable[..., Any], options: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    return lambda y, p: function(keras.ops.convert_to_tensor(y), keras.ops.convert_to_tensor(p), **options)


def _stretched(labels: Any, spec: Any) -> bool:  # noqa: ANN401
    """Whether one broadcasts to the other, row by row."""
    pairs = list(zip(labels.shape[1:], _sizes(labels, spec), strict=False))
    same_rank = len(labels.shape) == len(spec.shape)
    return same_rank and all(a == b or 1 in (a, b) for a, b in pairs) and any(a != b for a, b in pairs)


def _values(target: Target) -> Any:  # noqa: ANN401 (KerasTensor)
    """The loss before its mean, with BATCH rows; None where it cannot be known."""
    if not _usable(target.labels, target.output):
        return None
    shapes = (target.labels.shape[1:], _sizes(target.labels, target.output.spec))
    try:
        return backend.compute_output_spec(target.loss.call, *(keras.KerasTensor((BATCH, *shape)) for shape in shapes))
    except Exception:  # the user's own code; Keras says it again when it trains
        return None


def _broadcast(what: str, labels: Any, output: Output) -> str:  # noqa: ANN401
    return (
        f"The labels of {output.name!r} have the shape {_rows(labels)}, the output {_rows(output.spec)}, and {what} "
        f"broadcasts them, label against every output: give labels of the shape {_rows(output.spec)}."
    )


def _rows(array: Any) -> str:  # noqa: ANN401
    """E.g. "(n, 3)"."""
    return shown(array.shape[1:])


def shown(shape: Sequence[int | None]) -> str:
    """The shape of an array whose examples have this shape, e.g. "(n, 3)"."""
    sizes = ["?" if size is None else str(size) for size in shape]
    return f"({', '.join(['n', *sizes])}{'' if sizes else ','})"
