"""One training step of any compiled Keras model: its own ``train_step``, watched from outside.

A batch is what Keras hands to ``train_step``: (x, y) or (x, y, sample_weight), trees of tensors. The step is traced
once, for batches of any size or, for XLA, of one, and called from the loop of `jointdec.training.program`: forward
pass, ``compute_loss``, gradients, ``optimizer.apply`` and metrics are Keras's or the user's, never a copy of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common.global_state import get_global_attribute
from keras.src.trainers.compile_utils import CompileMetrics

from jointdec.errors import NoLossNumber
from jointdec.training.loss_number import loss_must_be_a_number
from jointdec.training.state import by_path

Tensor = Any  # TensorFlow has no types
Batch = tuple[Any, ...]


class Step(Protocol):
    """What a program repeats.

    Attributes:
        columns: names of the numbers that a step gives, ``loss`` first; known once `trace` was called.
        layers: paths of the layers whose gradients' norms are taken; known once `trace` was called.
        dtype: of these numbers.
    """

    columns: tuple[str, ...]
    layers: tuple[str, ...]
    dtype: tf.DType

    def trace(self, batch: Batch) -> Callable[[Batch, Tensor], tuple[Tensor, Tensor]]:
        """A step for batches of these specifications; a second call with the same size gives the same one.

        Args:
            batch: a tree of tf.TensorSpec, their first dimension None or the batch's size.

        Returns:
            A function (batch, whether to take norms) -> numbers (columns,), and norms (1 + layers,): the 2-norm of the
            gradient over all trainable variables, then over each layer's; 0 where they are not taken.
        """

    def variables(self) -> Mapping[str, tf.Variable]:
        """Everything that a step reads or changes, by path."""

    def lasting(self) -> Sequence[tf.Variable]:
        """Those of the variables that a NaN or Inf would ruin for good: weights, and what the optimizer remembers."""

    def begin_epoch(self) -> None:
        """Forget what is summed up over an epoch."""

    def scale(self) -> Tensor | None:
        """The variable that scales the loss under float16."""


class KerasStep:
    """The step of a compiled model; `Step` says what there is.

    Args:
        model: compiled and built.
        prepare: what becomes of a batch before the model sees it, e.g. indices made one-hot.
        order: paths of layers that come first among `Step.layers`; the others follow in the optimizer's order.

    Attributes:
        logs: names of what ``train_step`` returns.
    """

    def __init__(
        self, model: keras.Model, prepare: Callable[[Batch], Batch] = lambda batch: batch, order: Sequence[str] = ()
    ) -> None:
        self.model, self.prepare, self._order = model, prepare, order
        self.dtype = tf.float64 if keras.config.floatx() == "float64" else tf.float32
        self.columns: tuple[str, ...] = ()
        self.logs: tuple[str, ...] = ()
        self.layers: tuple[str, ...] = ()
        self._touched: list[tuple[str, tf.Variable]] = []
        self._traced: dict[int | None, Callable[[Batch, Tensor], tuple[Tensor, Tensor]]] = {}  # by the batch's size
        # op by op these take as long as twenty steps of a small model; a metric of the user's may do as it likes
        own = all(type(metric).__module__.startswith("keras.") for metric in _single_metrics(model))
        graph = partial(tf.function, autograph=False, reduce_retracing=True)
        self._reset = graph(model.reset_metrics) if own else model.reset_metrics
        self._results = graph(model.get_metrics_result) if own else model.get_metrics_result

    def trace(self, batch: Batch) -> Callable[[Batch, Tensor], tuple[Tensor, Tensor]]:
        """See `Step.trace`."""
        flat = tf.nest.flatten(batch)
        size = flat[0].shape[0]
        if size in self._traced:
            return self._traced[size]

        def take(*arguments: Tensor) -> tuple[Tensor, Tensor]:
            *tensors, norms = arguments
            return self._take(tf.nest.pack_sequence_as(batch, tensors), norms)

        traced = tf.function(take, autograph=False).get_concrete_function(*flat, tf.TensorSpec((), tf.bool))
        named = _global_seeds()
        self._touched += [(named.get(id(v), v.name.partition(":")[0]), v) for v in traced.graph.variables]
        self._traced[size] = lambda tensors, norms: traced(*tf.nest.flatten(tensors), norms)
        return self._traced[size]

    def variables(self) -> Mapping[str, tf.Variable]:
        """See `Step.variables`."""
        # and what the user's own code or Keras's global seed generator holds
        touched = sorted(self._touched, key=lambda pair: pair[0])
        return by_path([*((variable.path, variable.value) for variable in variables_of(self.model)), *touched])

    def lasting(self) -> Sequence[tf.Variable]:
        """See `Step.lasting`."""
        weights = [*self.model.weights, *optimizer_variables(self.model)]
        return list(by_path((variable.path, variable.value) for variable in weights).values())

    def begin_epoch(self) -> None:
        """See `Step.begin_epoch`."""
        self._reset()

    def epoch_logs(self) -> Logs:
        """The model's metrics over the steps since the epoch began, by Keras's names."""
        return read(self._results())

    def scale(self) -> Tensor | None:
        """See `Step.scale`."""
        optimizer = getattr(self.model, "optimizer", None)
        return optimizer.dynamic_scale.value if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else None

    def _take(self, batch: Batch, norms: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.scale()
        scale = None if scale is None else tf.identity(scale)
        # Keras logs running means over the epoch. From 0 they are this step's own values; the sums go on afterwards.
        with sums_apart(self.model, self._trackers()):
            with watched_optimizers(self.model) as applied, loss_must_be_a_number(self.model):
                returned = self.model.train_step(self.prepare(batch))
            if not isinstance(returned, Mapping) or not returned:
                raise NoLossNumber("The model's train_step must return a dict of what it logs, as {'loss': loss}.")
            logs = opened(returned)
            self.logs = tuple(logs)
            values = self._values(logs)
            row = tf.stack([tf.cast(tf.reshape(value, ()), self.dtype) for value in values.values()])
        layers = self._by_layer(applied)
        self.columns, self.layers = tuple(values), tuple(layers)
        return row, self._norms(layers, norms, scale)

    def _trackers(self) -> list[keras.metrics.Mean]:
        """The means whose variables are two sums: the loss, and each output's."""
        return [
            metric
            for metric in self.model.metrics
            if isinstance(metric, keras.metrics.Mean) and [v.name for v in metric.variables] == ["total", "count"]
        ]

    def _values(self, logs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the step logs of itself: losses by output, and what a ``train_step`` of the user's returns besides."""
        running = set[str]()
        for metric in self.model.metrics:
            if isinstance(metric, CompileMetrics):
                running |= set(metric.result())
        single = {
            head_name(self.model, name): value
            for name, value in logs.items()
            if tf.convert_to_tensor(value).shape.num_elements() == 1
        }
        values = {name: value for name, value in single.items() if name not in running} or single
        return {"loss": values.pop("loss"), **values} if "loss" in values else values

    def _by_layer(self, applied: Sequence[tuple[Tensor, Any]]) -> dict[str, list[Tensor]]:
        layers: dict[str, list[Tensor]] = {}
        for gradient, variable in applied:
            # a train_step of the user's may call functions of its own, whose tensors do not exist outside of them
            if gradient is not None and gradient.graph is tf.compat.v1.get_default_graph():
                path = getattr(variable, "path", variable.name)
                layers.setdefault(path.rpartition("/")[0] or path, []).append(gradient)
        return {path: layers[path] for path in (*self._order, *layers) if path in layers}

    def _norms(self, layers: Mapping[str, Sequence[Tensor]], wanted: Tensor, scale: Tensor | None) -> Tensor:
        def taken() -> Tensor:
            squares = [
                tf.add_n([tf.cast(tf.reduce_sum(tf.square(tf.convert_to_tensor(g))), self.dtype) for g in gradients])
                for gradients in layers.values()
            ]
            norms = tf.sqrt(tf.stack([tf.add_n(squares), *squares])) if squares else tf.zeros(1, self.dtype)
            if scale is None:
                return norms
            # an update that the loss scale skips is none, and none is missing
            return tf.where(tf.math.is_finite(norms[0]), norms / tf.cast(scale, self.dtype), tf.zeros_like(norms))

        return tf.cond(wanted, taken, lambda: tf.zeros(1 + len(layers), self.dtype))


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Those that a model holds, under whatever name, each once."""
    held = [value for value in vars(model).values() if isinstance(value, keras.optimizers.Optimizer)]
    return list({id(optimizer): optimizer for optimizer in held}.values())


def optimizer_variables(model: keras.Model) -> list[keras.Variable]:
    """What a model's optimizers remember."""
    return [variable for optimizer in optimizers_of(model) for variable in optimizer.variables]


def variables_of(model: keras.Model) -> list[keras.Variable]:
    """All that a step of the model reads or changes, as far as the model knows."""
    known = [*model.variables, *optimizer_variables(model)]
    return known + [variable for metric in model.metrics for variable in metric.variables]


@contextmanager
def watched_optimizers(model: keras.Model) -> Iterator[list[tuple[Tensor, Any]]]:
    """Gather the (gradient, variable) pairs that the model's optimizers are given meanwhile."""
    applied: list[tuple[Tensor, Any]] = []
    with ExitStack() as undo:
        for optimizer in optimizers_of(model):
            undo.enter_context(_watch(optimizer, applied))
        yield applied


def losses_by_output(model: keras.Model) -> list[keras.metrics.Mean]:
    """The means in which Keras keeps each output's own loss, where there are several outputs."""
    return list(getattr(getattr(model, "_compile_loss", None), "metrics", None) or ())


@contextmanager
def sums_apart(model: keras.Model, trackers: Sequence[keras.metrics.Mean]) -> Iterator[None]:
    """Meanwhile these means are those of what comes now alone; afterwards their sums go on over the epoch.

    An output's own loss counts once a batch, whatever its size. So it does in Keras's ``fit``, where the traced step
    does not know the size of a batch; here it may know it, since XLA needs it.
    """
    by_output = {id(metric) for metric in losses_by_output(model)}
    before = [[tf.identity(variable.value) for variable in tracker.variables] for tracker in trackers]
    for tracker in trackers:
        for variable in tracker.variables:
            variable.assign(tf.zeros_like(variable.value))
    yield
    for tracker, (total_before, count_before) in zip(trackers, before, strict=True):
        total, count = (tf.identity(variable.value) for variable in tracker.variables)
        if id(tracker) in by_output:
            total, count = tf.math.divide_no_nan(total, count), tf.cast(count > 0, count.dtype)
        tracker.total.assign(total_before + total)
        tracker.count.assign(count_before + count)


def _single_metrics(model: keras.Model) -> Iterator[keras.metrics.Metric]:
    for metric in model.metrics:
        if isinstance(metric, CompileMetrics):
            yield from metric.metrics
        else:
            yield metric


def head_name(model: keras.Model, log: str) -> str:
    """What a log of Keras's is called here: ``price`` instead of ``price_loss``, if that is one of several outputs."""
    outputs = getattr(model, "output_names", None) or ()
    head = log.removesuffix("_loss")
    return head if len(outputs) > 1 and head in outputs else log


def _global_seeds() -> dict[int, str]:
    """A path for Keras's global seed generator, whose own depends on what made it first."""
    generator = get_global_attribute("global_seed_generator")
    return {} if generator is None else {id(generator.state.value): "global_seed_generator"}


@contextmanager
def _watch(optimizer: keras.optimizers.Optimizer, applied: list[tuple[Tensor, Any]]) -> Iterator[None]:
    apply = optimizer.apply

    def watched(grads: Sequence[Tensor], trainable_variables: Sequence[Any] | None = None) -> Any:  # noqa: ANN401 (Keras's own)
        variables = optimizer._trainable_variables if trainable_variables is None else trainable_variables
        applied.extend(zip(grads, variables, strict=False))
        return apply(grads, trainable_variables)

    inner = [optimizer, getattr(optimizer, "inner_optimizer", None), *getattr(optimizer, "optimizers", ())]
    optimizer.__dict__["apply"] = watched
    for each in filter(None, inner):
        # there is one replica and nothing to sum, and TensorFlow keeps the graph of a sum over replicas for good
        each.__dict__["_all_reduce_sum_gradients"] = list
    try:
        yield
    finally:
        del optimizer.__dict__["apply"]
        for each in filter(None, inner):
            each.__dict__.pop("_all_reduce_sum_gradients", None)


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
