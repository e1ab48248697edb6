"""The validation of any compiled Keras model: its own ``test_step`` over all batches, each chunk one program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from jointdec.training.feed import Feed
from jointdec.training.program import Chunk, one_program
from jointdec.training.step import Batch, Logs, losses_by_output, opened, read, sums_apart

Tensor = Any  # TensorFlow has no types


class HeldOut:
    """Evaluates a model on held-out examples, in their order.

    Args:
        model: compiled and built.
        feed: where the batches come from.
        prepare: what becomes of a batch before the model sees it.
    """

    def __init__(self, model: keras.Model, feed: Feed, prepare: Callable[[Batch], Batch] = lambda batch: batch) -> None:
        self._model, self._feed, self._prepare = model, feed, prepare
        self._programs: dict[tuple[int, bool], Any] = {}

    def __call__(self, jit: bool) -> Logs:
        """What Keras's ``evaluate`` returns as a dict; compiled with XLA or not."""
        self._model.reset_metrics()
        batches, capacity = self._feed.batches, self._feed.capacity
        logs: Mapping[str, Any] = {}
        for first in range(0, batches.full, capacity):
            steps = min(capacity, batches.full - first)
            logs = self._run(self._feed.chunk(0, first // capacity), batches.size, steps, jit)
        if batches.rest:
            logs = self._run(self._feed.last(0), batches.rest, 1, jit)
        metrics = self._model.get_metrics_result()
        found = metrics if set(metrics) == set(logs) else logs  # as Keras: a test_step of the user's logs what it likes
        return read(found)

    def _run(self, chunk: Chunk, size: int, steps: int, jit: bool) -> Mapping[str, Any]:
        if (size, jit) not in self._programs:
            self._programs[size, jit] = one_program(self._loop_of(chunk, size, jit), jit)
        logs: Mapping[str, Any] = self._programs[size, jit](chunk.data, chunk.rows, tf.constant(steps))
        return logs

    def _loop_of(self, chunk: Chunk, size: int, jit: bool) -> Any:  # noqa: ANN401 (a function of tensors)
        known = size if jit else None  # see `jointdec.training.program.Program`
        specs = tf.nest.map_structure(lambda a: tf.TensorSpec((known, *a.shape[1:]), a.dtype), chunk.data)
        by_output = losses_by_output(self._model)
        flat = tf.nest.flatten(specs)

        def test(*tensors: Tensor) -> Any:  # noqa: ANN401 (a dict of tensors)
            with sums_apart(self._model, by_output):
                return opened(self._model.test_step(self._prepare(tf.nest.pack_sequence_as(specs, tensors))))

        traced = tf.function(test, autograph=False).get_concrete_function(*flat)

        def loop(data: Any, rows: Tensor, steps: Tensor) -> Any:  # noqa: ANN401 (trees of tensors)
            def body(at: Tensor, _: Any) -> tuple[Tensor, Any]:  # noqa: ANN401
                batch_rows = tf.slice(rows, [at * size], [size])
                batch = tf.nest.map_structure(lambda array: tf.gather(array, batch_rows), data)
                return at + 1, traced(*tf.nest.flatten(batch))

            empty = tf.nest.map_structure(lambda log: tf.zeros(log.shape, log.dtype), traced.structured_outputs)
            return tf.while_loop(lambda at, _: at < steps, body, (tf.constant(0), empty))[1]

        return loop
