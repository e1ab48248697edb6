"""What ``fit`` says before it trains: which labels, loss, weight and metrics each output has, and what may surprise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
from keras.src.models import Functional
from keras.src.trainers.compile_utils import CompileMetrics

from jointdec.training.inputs import Examples
from jointdec.training.outputs import Outputs, Target, Tree, loss_function, loss_option, own_function, read_outputs
from jointdec.training.surprises import Measured, order_warnings, shape_warnings, shown, weight_warnings

Shape = tuple[int | None, ...]


class Row(NamedTuple):
    """What one output is trained by; an output with two losses has two rows."""

    name: str
    loss: str | None
    weight: float
    metrics: tuple[str, ...]
    labels: Shape | None  # of one example
    output: Shape | None  # of one example


@dataclass(frozen=True)
class Matching:
    """Printable: a table of ``rows``, or ``note`` where there are none, and the warnings below it."""

    rows: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        return "\n".join([*(_table(self.rows) if self.rows else [self.note]), *(f"! {text}" for text in self.warnings)])


def matching(model: keras.Model, examples: Examples) -> Matching:
    """What Keras makes of a compiled model and its data. Computes no loss of the data, and changes nothing."""
    if own := own_function(model):
        return Matching(note=f"The model's own {own} decides which loss goes to which output.")
    outputs = read_outputs(model, examples.x, examples.y)
    if outputs is None:
        return Matching(note="The model says what it returns only when it trains; then Keras deals out its losses.")
    measured = _measured(model, examples.y, outputs)
    warnings = [
        *([f"Keras cannot match labels, losses and outputs: {outputs.refused}"] if outputs.refused else []),
        *_without_loss(model, outputs),
        *order_warnings(model, examples.y, outputs, measured),
        *shape_warnings(outputs, measured),
        *weight_warnings(outputs, examples.sample_weight),
        *logit_warnings(outputs.targets),
    ]
    return Matching(tuple(_rows(outputs, measured)), tuple(warnings))


def _measured(model: keras.Model, y: Tree, outputs: Outputs) -> list[Measured]:
    """The metrics that Keras gives to each output, in its order."""
    compiled = model._compile_metrics
    if compiled is None or y is None:
        return []
    scratch = CompileMetrics(
        compiled._user_metrics, compiled._user_weighted_metrics, output_names=compiled.output_names
    )
    try:
        scratch.build(y, outputs.tree)
        labels, predictions = scratch._flatten_y(y), scratch._flatten_y(outputs.tree)
    except Exception:  # Keras has many, and says it again when it trains
        return []
    by_spec = {id(output.spec): output for output in outputs.all}
    lists = zip(labels, predictions, scratch._flat_metrics, scratch._flat_weighted_metrics, strict=False)
    return [
        Measured(by_spec[id(spec)], label, [m for given in (plain, weighted) if given for m in given.metrics])
        for label, spec, plain, weighted in lists
    ]


def _without_loss(model: keras.Model, outputs: Outputs) -> list[str]:
    if outputs.refused or not outputs.targets:
        none = model._compile_loss is None
        return ["The model is compiled without a loss: only what its layers add counts."] if none else []
    trained = {target.output.path for target in outputs.targets}
    bare = [
        repr(output.name) for output in outputs.all if not any(output.path[: len(path)] == path for path in trained)
    ]
    return [f"No loss for the output {', '.join(bare)}: what only it needs is not trained."] if bare else []


def _rows(outputs: Outputs, measured: Sequence[Measured]) -> list[Row]:
    metrics = {m.output.path: tuple(metric.name for metric in m.metrics) for m in measured}
    rows = []
    for output in outputs.all:
        shape, names = _shape(output.spec), metrics.get(output.path, ())
        mine = [target for target in outputs.targets if target.output.path == output.path]
        for target in mine:
            logits = " (logits)" if hasattr(target.loss, "fn") and loss_option(target.loss, "from_logits") else ""
            weight = 1.0 if target.weight is None else float(keras.ops.convert_to_numpy(target.weight))
            rows.append(Row(output.name, target.loss.name + logits, weight, names, _shape(target.labels), shape))
        if not mine:
            labels = next((_shape(m.labels) for m in measured if m.output.path == output.path), None)
            rows.append(Row(output.name, None, 0.0, names, labels, shape))
    return rows


def _shape(array: Any) -> Shape | None:  # noqa: ANN401 (array, KerasTensor or None)
    return None if array is None else tuple(array.shape[1:])


def _table(rows: Sequence[Row]) -> list[str]:
    head = ("output", "loss", "weight", "metrics", "labels", "predictions")
    cells = [
        (
            row.name,
            row.loss or "-",
            f"{row.weight:g}",
            " ".join(row.metrics) or "-",
            _text(row.labels),
            _text(row.output),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in (head, *cells)) for column in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (head, *cells))
    return [line.rstrip() for line in lines]


def _text(shape: Shape | None) -> str:
    return "-" if shape is None else shown(shape)


TAKES = {  # the activation that makes the probabilities which a loss takes
    keras.losses.categorical_crossentropy: "softmax",
    keras.losses.sparse_categorical_crossentropy: "softmax",
    keras.losses.categorical_focal_crossentropy: "softmax",
    keras.losses.binary_crossentropy: "sigmoid",
    keras.losses.binary_focal_crossentropy: "sigmoid",
}
FOCAL = (
    keras.losses.categorical_focal_crossentropy,
    keras.losses.binary_focal_crossentropy,
)  # use no remembered logits
ACTIVATIONS = {
    keras.activations.softmax: "softmax",
    keras.activations.sigmoid: "sigmoid",
    keras.activations.linear: "linear",
}
ARRANGING = (keras.layers.Reshape, keras.layers.Flatten, keras.layers.Permute)  # change no number


def logit_warnings(targets: Sequence[Target]) -> Iterator[str]:
    """A sentence for each target whose loss does not get what it takes."""
    for target in targets:
        function = loss_function(target.loss)
        if function not in TAKES or target.output.tensor is None:
            continue
        name, loss, takes = target.output.name, target.loss.name, TAKES[function]
        activation, remembered = _last_activation(target.output.tensor)
        remembered = remembered and function not in FOCAL and target.output.spec.dtype == target.loss.dtype
        from_logits = bool(loss_option(target.loss, "from_logits"))
        if activation == "linear" and not from_logits:
            yield (
                f"{loss} takes the probabilities of a {takes}, but the output {name!r} ends without an activation: "
                f"compile it with from_logits=True, or end it in a {takes}."
            )
        elif activation in ("softmax", "sigmoid") and remembered and activation != takes:
            yield (
                f"The output {name!r} ends in a {activation}, but Keras computes {loss} from its logits by a {takes}: "
                "what is trained is not what the model returns."
            )
        elif activation in ("softmax", "sigmoid") and from_logits and not remembered:
            yield (
                f"{loss} takes logits, but the output {name!r} ends in a {activation}, and Keras takes its "
                f"probabilities for logits: compile it with from_logits=False, or leave the {activation} out."
            )


def _last_activation(tensor: Any) -> tuple[str, bool]:  # noqa: ANN401 (KerasTensor of a graph)
    """(softmax, sigmoid, linear, or empty if unknown; whether Keras still remembers its logits)."""
    remembered = True
    while True:
        operation, node, index = tensor._keras_history
        inner = operation._functional if isinstance(operation, keras.Sequential) else operation
        if isinstance(inner, Functional):
            tensor = inner.outputs[index]
        elif type(operation) in ARRANGING or _changes_nothing(operation):
            remembered = remembered and type(operation) not in ARRANGING
            tensor = operation._inbound_nodes[node].input_tensors[0]
        else:
            return _activation(operation), remembered


def _changes_nothing(operation: Any) -> bool:  # noqa: ANN401 (a layer or an operation of keras.ops)
    kind = type(operation)
    linear = kind is keras.layers.Activation and operation.activation is keras.activations.linear
    return linear or kind is keras.layers.Identity


def _activation(operation: Any) -> str:  # noqa: ANN401 (a layer or an operation of keras.ops)
    kind = type(operation)
    if not kind.__module__.startswith("keras."):
        return ""  # a layer of the user's own does what it likes
    if kind.__name__ in ("Softmax", "Sigmoid"):
        return kind.__name__.lower()
    simple = kind.__name__ in ("Activation", "Dense", "EinsumDense") or "Conv" in kind.__name__
    return ACTIVATIONS.get(operation.activation, "") if simple and hasattr(operation, "activation") else ""
