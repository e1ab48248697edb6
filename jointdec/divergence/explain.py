"""`jointdec.explain`: why one batch makes a model's step NaN or Inf, down to the user's own line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from jointdec.divergence.catalogue import CAUSES
from jointdec.divergence.rules import Case, find_cause
from jointdec.divergence.trace import Operation, Trace, Watch, kept
from jointdec.errors import UserError
from jointdec.training.checks import require_compiled
from jointdec.training.inputs import read_examples
from jointdec.training.state import by_path
from jointdec.training.step import optimizer_variables, variables_of, watched_optimizers

Tensor = Any  # TensorFlow has no types
LABELS = "outside the valid range"  # what TensorFlow says of an index that is no class


class Rows(NamedTuple):
    """Whose the rows of a batch are.

    Attributes:
        numbers: (B,) the user's own number of each; empty if they have none.
        of: what they are rows of.
        names: the user's own name of each; empty if they have none.
    """

    numbers: npt.NDArray[np.integer]
    of: str = "data"
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Explanation:
    """The first tensor of a step that is not finite, and why.

    Attributes:
        tensor: where it is made, and by which operation: own/Log, loss/price/Log, gradient/own/Sqrt,
            update/dense/kernel; of what was given its name, as x, y/price or dense/kernel.
        operation: TensorFlow's name of the operation, as Log; ``given`` for what the step started from.
        line: of the user's code, as "house.py:31"; empty where only stock layers and losses were at work.
        function: that the line is in.
        file: that the line is in, with its folder.
        layer: path of the layer; empty outside of all.
        heads: outputs of the model that it depends on.
        part: input, variable, constant, forward, loss, gradient or update.
        shape: of the tensor.
        where: the first element that is not finite, how many there are, and whose row it is.
        reached: what it makes not finite, as "loss" or "gradient of dense/kernel".
        cause: one of `jointdec.divergence.catalogue.CAUSES`.
        evidence: the numbers that prove it.
        masked: lines of operations that are not finite as well and were masked out.
    """

    tensor: str
    operation: str
    part: str
    reached: tuple[str, ...]
    cause: str
    evidence: str
    line: str = ""
    function: str = ""
    file: str = ""
    layer: str = ""
    heads: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    where: str = ""
    masked: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        """What the cause is, in a sentence."""
        return CAUSES[self.cause].meaning

    @property
    def remedy(self) -> str:
        """What to write instead."""
        return CAUSES[self.cause].code or CAUSES[self.cause].remedy

    @property
    def place(self) -> str:
        """The line and its function, for a sentence; empty where there is no line of the user's."""
        return f" at {self.line} in {self.function}" if self.line else ""

    def __str__(self) -> str:
        lines = [
            f"The first tensor that is not finite is {self.tensor}{self.place}. {self.where}",
            f"Cause: {self.cause}. {self.meaning} {self.evidence}",
            f"Remedy: {self.remedy}",
        ]
        if self.masked:
            lines.append(f"Not finite as well, but masked out: {', '.join(self.masked)}.")
        return "\n".join(lines)


def explain(
    model: keras.Model,
    x: Any,  # noqa: ANN401 (whatever Keras takes)
    y: Any = None,  # noqa: ANN401
    sample_weight: Any = None,  # noqa: ANN401
) -> Explanation | None:
    """Take one training step of a compiled model on one batch, and say what of it is not finite first; None if nothing.

    The model, its optimizer and its metrics are afterwards what they were.

    Args:
        model: compiled.
        x: inputs of the batch, with a row an example: array, dict or tuple of arrays.
        y: labels, as the losses of ``compile`` take them.
        sample_weight: one weight an example, or a tree of weights by output.

    Raises:
        UserError: the model or the batch is not what Keras could train on; or Keras runs on another backend.
    """
    if keras.backend.backend() != "tensorflow":
        other = keras.backend.backend()
        raise UserError(f"jointdec.explain needs TensorFlow, and Keras runs on {other}: set KERAS_BACKEND=tensorflow.")
    require_compiled(model)
    examples = read_examples(model, x, y, sample_weight, looks=False)
    tree = keras.tree.map_structure(lambda leaf: None if leaf is None else tf.constant(leaf), examples.tree())
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.Optimizer) and not optimizer.built:
        optimizer.build(model.trainable_variables)
    return explain_step(model, tree, Rows(np.arange(examples.size), "batch"))


def explain_step(
    model: keras.Model,
    batch: tuple[Any, ...],
    rows: Rows,
    variables: Mapping[str, Any] | None = None,
) -> Explanation | None:
    """`explain` of a batch of tensors, as ``train_step`` takes it.

    Args:
        model: compiled and built, in the state that the step starts from.
        batch: (x,), (x, y) or (x, y, sample_weight).
        rows: whose its rows are.
        variables: everything that the step reads or changes by path, where more of it is known than the model's.
    """
    variables = variables or by_path((v.path, v.value) for v in variables_of(model))
    lasting = [v.path for v in (*model.weights, *optimizer_variables(model))]
    before = {path: np.asarray(variable.numpy()) for path, variable in variables.items()}
    given = dict(_named(batch))
    watch = Watch(given, variables, lasting)
    with kept(variables):
        try:
            watch.take(lambda: _take(model, batch, watch))
        except tf.errors.InvalidArgumentError as error:
            if LABELS not in str(error):
                raise
            return _of_labels(str(error))
    trace = watch.result()
    if trace.culprit is None:
        return None
    return _explained(model, trace, before, rows)


def _take(model: keras.Model, batch: tuple[Any, ...], watch: Watch) -> None:
    compute_loss, called = model.compute_loss, list[bool]()

    def watched(*arguments: Any, **named: Any) -> Tensor:  # noqa: ANN401 (Keras's own signature, or the user's)
        outputs = named.get("y_pred", arguments[2] if len(arguments) > 2 else None)
        watch.begin_loss(_heads(model, outputs))
        loss = compute_loss(*arguments, **named)
        watch.end_loss(loss)
        called.append(True)
        return loss

    model.__dict__["compute_loss"] = watched
    try:
        with watched_optimizers(model) as applied:
            logs = model.train_step(batch)
    finally:
        del model.__dict__["compute_loss"]
    for gradient, variable in applied:
        if gradient is not None:
            watch.reaches(f"gradient of {getattr(variable, 'path', variable.name)}", gradient)
    if not called and isinstance(logs, Mapping):
        for name, value in logs.items():
            watch.reaches(name, value)


def _heads(model: keras.Model, outputs: Any) -> dict[str, Tensor]:  # noqa: ANN401 (a tree of tensors)
    if isinstance(outputs, Mapping):
        return {str(name): tensor for name, tensor in outputs.items() if tf.is_tensor(tensor)}
    leaves = keras.tree.flatten(outputs)
    if len(leaves) < 2:
        return {}
    names = list(getattr(model, "output_names", None) or ())
    names = names if len(names) == len(leaves) else [f"output {number}" for number in range(len(leaves))]
    return {name: tensor for name, tensor in zip(names, leaves, strict=True) if tf.is_tensor(tensor)}


def _named(batch: tuple[Any, ...]) -> list[tuple[str, Tensor]]:
    """Every tensor of a batch by a name: x, y/price, sample_weight."""
    named = []
    for part, tree in zip(("x", "y", "sample_weight"), batch, strict=False):
        for path, leaf in keras.tree.flatten_with_path(tree):
            if tf.is_tensor(leaf):
                named.append(("/".join([part, *map(str, path)]), leaf))
    return named


def _explained(model: keras.Model, trace: Trace, before: Mapping[str, Any], rows: Rows) -> Explanation:
    culprit = trace.culprit
    assert culprit is not None
    weights = {v.path: before[v.path] for v in model.trainable_variables if v.path in before}
    cause, evidence = find_cause(
        Case(culprit, trace.masked, weights, _updates(before), _rate(before), _largest_weight(model))
    )
    return Explanation(
        tensor=_tensor(culprit),
        operation=culprit.of.type if culprit.of else culprit.type,
        line=str(culprit.place),
        function=culprit.place.function,
        file=culprit.place.file,
        layer=culprit.place.layer,
        heads=culprit.heads,
        part=culprit.part,
        shape=culprit.value.shape,
        where=_where(culprit, rows),
        reached=trace.reached,
        cause=cause,
        evidence=evidence,
        masked=_masked(trace),
    )


def _masked(trace: Trace) -> tuple[str, ...]:
    """Where else something is not finite; the same line may be at work twice, as for a metric."""
    assert trace.culprit is not None
    others = [m for m in trace.masked if m.place != trace.culprit.place]
    return tuple(dict.fromkeys(f"{m.type} at {str(m.place) or m.place.layer or 'the loss'}" for m in others))


def _tensor(culprit: Operation) -> str:
    if culprit.type == "given":
        return culprit.name
    if culprit.part == "update":
        return f"update/{culprit.place.variable or culprit.name}"
    made = culprit.of or culprit
    loss = ["loss", *culprit.heads] if made.part == "loss" else []
    parts = [*(["gradient"] if culprit.part == "gradient" else []), *loss, made.place.layer, made.type]
    return "/".join(part for part in parts if part)


def _where(culprit: Operation, rows: Rows) -> str:
    value = culprit.value.astype(np.float64) if culprit.value.dtype.kind != "c" else culprit.value
    bad = ~np.isfinite(value)
    if value.ndim == 0:
        return f"It is {value}."
    first = tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))
    place = list(first)
    text = f"{int(bad.sum()):,} of {bad.size:,} values are not finite, the first at {place} is {value[first]}"
    if culprit.part in ("input", "forward", "loss", "gradient") and len(value) == len(rows.numbers) > 0:
        name = f" ({rows.names[first[0]]})" if rows.names else ""
        text += f": row {rows.numbers[first[0]]} of the {rows.of}{name}"
    return text + "."


def _updates(before: Mapping[str, Any]) -> int | None:
    return next((int(value) for path, value in before.items() if path.endswith("/iteration")), None)


def _rate(before: Mapping[str, Any]) -> float | None:
    return next((float(value) for path, value in before.items() if path.endswith("/learning_rate")), None)


def _largest_weight(model: keras.Model) -> float:
    weights = getattr(getattr(model, "_compile_loss", None), "_user_loss_weights", None)
    numbers = [float(np.asarray(w)) for w in keras.tree.flatten(weights) if w is not None]
    return max(map(abs, numbers), default=1.0)


def _of_labels(message: str) -> Explanation:
    found = re.search(r"label value of (\S+) which is outside the valid range of (\[.*?\))", message)
    label, classes = found.groups() if found else ("?", "?")
    return Explanation(
        tensor="y",
        operation="given",
        part="input",
        reached=("loss",),
        cause="labels_outside_classes",
        evidence=f"A label is {label}; the output's classes are {classes}.",
    )
