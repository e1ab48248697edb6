"""Many steps as ONE program: Python waits outside while a loop on the device gathers batches and trains on them.

A chunk is so many steps, its data on the device and the rows of each batch. The program goes through them and gives
back a row of numbers a step. Where a loss is not finite it ends at once; whether all variables are, it says at the end.
Nothing else watches for NaN and Inf, so the guard costs the loop nothing: see `jointdec.training.loop`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from jointdec.training.step import Step

Tensor = Any  # TensorFlow has no types
SHARE_OF_MAPS = 0.8


class Chunk(NamedTuple):
    """Examples on the device.

    Attributes:
        data: (x, y) or (x, y, sample_weight), trees of tensors with a row an example.
        rows: (capacity * batch size,) int32, the rows of ``data`` in their order; what no step reaches is 0.
    """

    data: tuple[Any, ...]
    rows: Tensor


class Ran(NamedTuple):
    """What a call of a program gave: a row a step taken, and whether all variables are finite after the last one."""

    rows: npt.NDArray[np.floating]
    norms: npt.NDArray[np.floating]
    sound: bool


class Span(NamedTuple):
    """Which steps of a chunk to take, and how; within the program all of these are tensors.

    Attributes:
        first: the first step.
        stop: the step to end before. A call with ``stop`` = ``first`` compiles without training.
        before: the global number of the chunk's step 0.
        every: gradient norms are taken in steps whose global number is a multiple of it.
        stops: end at the first loss that is not finite.
    """

    first: int
    stop: int
    before: int = 0
    every: int = 1
    stops: bool = True


def room_for_xla() -> bool:
    """Whether this process may have another program compiled by XLA.

    Each takes hundreds of the memory maps that Linux allows a process (measured: 90 to 900 of 65,530), TensorFlow never
    gives one back, and without any it crashes.
    """
    try:
        allowed = int(Path("/proc/sys/vm/max_map_count").read_text())
        with Path("/proc/self/maps").open("rb") as maps:
            return sum(1 for _ in maps) < SHARE_OF_MAPS * allowed
    except OSError:  # no Linux
        return True


def one_program(loop: Callable[..., Any], jit: bool) -> Any:  # noqa: ANN401 (TensorFlow has no types)
    """A loop as one program. That each training has a new one of the same code is no reason for TensorFlow to warn."""
    program = tf.function(loop, jit_compile=jit, autograph=False)
    program._omit_frequent_tracing_warning = True
    return program


class Program:
    """The loop for batches of one size.

    Args:
        step: what is repeated.
        chunk: one of those that it will be given, for its shapes.
        batch_size: examples in a batch.
        jit: compile with XLA.
        checked: gives the variables that have to stay finite, once the step is traced.

    Attributes:
        capacity: steps in a chunk, at most.
    """

    def __init__(
        self, step: Step, chunk: Chunk, batch_size: int, jit: bool, checked: Callable[[], Sequence[Tensor]]
    ) -> None:
        self._step, self._batch_size, self._checked = step, batch_size, checked
        self.capacity = int(chunk.rows.shape[0]) // batch_size
        size = batch_size if jit else None  # XLA cannot compile a recurrent layer whose batch may have any size
        specs = tf.nest.map_structure(lambda a: tf.TensorSpec((size, *a.shape[1:]), a.dtype), chunk.data)
        self._take = step.trace(specs)
        self._run = one_program(self._loop, jit)

    def __call__(self, chunk: Chunk, span: Span) -> Ran:
        """Take these steps of a chunk, which has the shapes that the program was made for."""
        dtypes = (tf.int32, tf.int32, tf.int64, tf.int64, tf.bool)
        tensors = Span(*map(tf.constant, span, dtypes))
        rows, norms, reached, sound = self._run(chunk.data, chunk.rows, tensors)
        taken = slice(span.first, int(reached))
        return Ran(rows.numpy()[taken], norms.numpy()[taken], bool(sound))

    def compile(self, chunk: Chunk) -> None:
        """Compile, without training."""
        self(chunk, Span(0, 0))

    def by_xla(self, chunk: Chunk) -> Program:
        """The same loop, compiled with XLA."""
        return Program(self._step, chunk, self._batch_size, True, self._checked)

    def _loop(self, data: Any, rows: Tensor, span: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # noqa: ANN401 (tensors)
        step, size = self._step, self._batch_size
        first, stop, before, every, stops = span

        def body(at: Tensor, curves: Tensor, norms: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            batch_rows = tf.slice(rows, [at * size], [size])
            batch = tf.nest.map_structure(lambda array: tf.gather(array, batch_rows), data)
            wanted = tf.equal((before + tf.cast(at, tf.int64)) % every, 0)
            row, norm = self._take(batch, wanted)
            curves = tf.tensor_scatter_nd_update(curves, [[at]], [row])
            norms = tf.tensor_scatter_nd_update(norms, [[at]], [norm])
            return at + 1, curves, norms, tf.reduce_all(tf.math.is_finite(row))

        def goes_on(at: Tensor, _: Tensor, __: Tensor, finite: Tensor) -> Tensor:
            return (at < stop) & (finite | ~stops)

        curves = tf.zeros((self.capacity, len(step.columns)), step.dtype)
        norms = tf.zeros((self.capacity, 1 + len(step.layers)), step.dtype)
        reached, curves, norms, _ = tf.while_loop(goes_on, body, (first, curves, norms, tf.constant(True)))
        return curves, norms, reached, self._sound()

    def _sound(self) -> Tensor:
        finite = [tf.reduce_all(tf.math.is_finite(variable)) for variable in self._checked()]
        scale = self._step.scale()
        if scale is not None:  # below 1 it hides gradients that no scale makes finite
            finite.append(scale >= 1)
        return tf.reduce_all(finite) if finite else tf.constant(True)
