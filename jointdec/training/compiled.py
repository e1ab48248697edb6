"""``training=compiled``, and `jointdec.fit`: steps in chunks, each chunk ONE program, see `jointdec.training.program`.

The last, incomplete batch of an epoch is a program of its own, with its own static size, so that every example counts
once an epoch and the mean is over the batch's true size, as in Keras's ``fit``.

What is in a variable is live: loss weights, learning rate, alpha. So is the order of batches. Trainings that differ in
nothing else share one compilation.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from jointdec.divergence.explain import Explanation, Rows, explain_step
from jointdec.errors import UserError
from jointdec.training.feed import Feed
from jointdec.training.loop import Loop, Policy, Steps
from jointdec.training.program import Chunk, Program, Ran, Span, room_for_xla
from jointdec.training.state import State
from jointdec.training.step import Batch, KerasStep, Step

Jit = bool | Literal["auto"]
TRIAL, TRIALS = 0.05, 5  # seconds of a trial, and trials of each, by which the faster of two programs is chosen
HOPELESS = 4.0  # times as long as the other: no further trial
WORTH = 2.0  # seconds that a whole training must take at least before a compilation can pay
NO_ROOM = "This process has compiled so many XLA programs that Linux has no memory maps left for another one"
XLA_ERRORS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.InternalError)


class CompiledLoop(Loop):
    """Trains by programs. The constructor compiles the one of full batches.

    Args:
        step: what is repeated.
        feed: where the batches come from.
        policy: what to do besides.
        jit: compile with XLA, or not; ``auto`` times both and keeps the faster. XLA on a CPU runs Dense layers several
            times as fast, and convolutions several times as slow.
        evaluate: gives the metrics of held-out examples.
        val: those that are evaluated after each epoch.
        steps: of the whole training, by which ``auto`` judges whether trying is worth it.

    Attributes:
        jit: whether XLA compiles.

    Raises:
        UserError: ``jit`` is true and XLA cannot compile the step, though TensorFlow can take it; or this process has
            compiled so much that it may not compile more.
    """

    def __init__(  # noqa: PLR0913 (all by keyword)
        self,
        step: Step,
        feed: Feed,
        policy: Policy,
        *,
        jit: Jit,
        evaluate: Callable[[Any], dict[str, float]],
        val: Any = None,  # noqa: ANN401 (whatever evaluate takes)
        steps: int = 0,
    ) -> None:
        batches = feed.batches
        super().__init__(batches.whole + batches.rest, batches.size, policy, val)
        self._step, self._feed, self._evaluate = step, feed, evaluate
        self.capacity = feed.capacity
        self._never_finite = {id(v) for v in step.lasting() if not _is_finite(v)}  # as a mask of -inf, kept as a weight
        self._programs: dict[int, Program] = {}
        self._copies: tuple[list[str], Callable[[], list[Any]]] | None = None  # one call instead of one a variable
        self.jit = jit is True
        if self.jit and not room_for_xla():
            raise UserError(f"{NO_ROOM}: start a new process, or use jit=False.")
        size = batches.size if batches.full else batches.rest
        chunk = feed.chunk(0, 0) if batches.full else feed.last(0)
        try:
            self._programs[size] = self._program(chunk, size)
        except XLA_ERRORS as error:
            if not self.jit:
                raise
            self._try_without_xla(chunk, size)
            raise UserError(
                f"XLA cannot compile this step ({_first_line(error)}): use jit=False or jit='auto' (training.jit=auto)."
            ) from error
        if jit == "auto":
            self._choose(chunk, size, steps)
        self._sound = True

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]  # known once the step is traced
        """See `Step.columns`."""
        return self._step.columns

    @property
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """See `Step.layers`."""
        return self._step.layers

    def run_steps(self, epoch: int, first: int, stop: int, norms: int) -> Steps:
        """See `Loop.run_steps`."""
        batches = self._feed.batches
        number, offset = divmod(first, self.capacity)
        began = epoch * self._steps
        full = min(stop, batches.full)
        parts = []
        if first < full:
            chunk = self._feed.chunk(epoch, number)
            span = Span(offset, offset + full - first, began + number * self.capacity, norms, self.stops)
            parts.append(self._run(chunk, batches.size, span))
        finite = not parts or (len(parts[0].rows) == full - first and bool(np.isfinite(parts[0].rows).all()))
        if stop > batches.full and (finite or not self.stops):
            span = Span(0, 1, began + batches.full, norms, self.stops)
            parts.append(self._run(self._feed.last(epoch), batches.rest, span))
        self._sound = parts[-1].sound if parts else self._sound
        tables = [np.concatenate([part.rows, part.norms], axis=1) for part in parts]
        return self.every_step(epoch, first, np.concatenate(tables) if tables else np.empty(0), norms)

    def batch(self, epoch: int, step: int) -> Batch:
        """What a step of an epoch trains on: a tree of tensors, as the feed gives them."""
        size, full = self._feed.batches.size, self._feed.batches.full
        number, offset = divmod(step, self.capacity)
        chunk = self._feed.chunk(epoch, number) if step < full else self._feed.last(epoch)
        rows = chunk.rows[offset * size : (offset + 1) * size] if step < full else chunk.rows
        batch: Batch = tf.nest.map_structure(lambda array: tf.gather(array, rows), chunk.data)
        return batch

    def explain(self, epoch: int, step: int, rows: Rows) -> Explanation | None:
        """Take a step of an epoch from the state as it is, which it stays, and say what of it is not finite first."""
        taken = self._step
        if not isinstance(taken, KerasStep):
            return None
        return explain_step(taken.model, taken.prepare(self.batch(epoch, step)), rows, taken.variables())

    def begin_epoch(self) -> None:
        """See `Loop.begin_epoch`."""
        self._step.begin_epoch()

    def evaluate(self, examples: Any) -> dict[str, float]:  # noqa: ANN401 (whatever it was given)
        """See `Loop.evaluate`."""
        return self._evaluate(examples)

    def sound(self) -> bool:
        """See `Loop.sound`: the program says it with every call."""
        return self._sound

    def state(self) -> State:
        """See `Loop.state`. The values are tensors on the device: a variable's next value does not overwrite them."""
        if self._copies is None:
            variables = list(self._step.variables().items())
            copied = tf.function(lambda: [tf.identity(variable) for _, variable in variables], autograph=False)
            self._copies = [path for path, _ in variables], copied
        paths, copies = self._copies
        return State(dict(zip(paths, copies(), strict=True)))

    def restore(self, state: State) -> None:
        """See `Loop.restore`."""
        for path, variable in self._step.variables().items():
            variable.assign(state.values[path])
        self._sound = all(_is_finite(variable) for variable in self._checked())

    def _run(self, chunk: Chunk, size: int, span: Span) -> Ran:
        if size not in self._programs:
            self._programs[size] = self._program(chunk, size)
        return self._programs[size](chunk, span)

    def _program(self, chunk: Chunk, size: int) -> Program:
        start = time.perf_counter()
        program = Program(self._step, chunk, size, self.jit, self._checked)
        program.compile(chunk)
        self.compile_seconds += time.perf_counter() - start
        return program

    def _try_without_xla(self, chunk: Chunk, size: int) -> None:
        """Take a step and undo it: one that is wrong in itself raises what is wrong, not what XLA makes of it."""
        program = Program(self._step, chunk, size, False, self._checked)
        before = self.state()
        program(chunk, Span(0, 1))
        self.restore(before)

    def _checked(self) -> list[Any]:
        lasting = [variable for variable in self._step.lasting() if id(variable) not in self._never_finite]
        return [variable for variable in lasting if variable.dtype.is_floating]

    def _choose(self, chunk: Chunk, size: int, steps: int) -> None:
        """Time the program that is there against one by XLA, and keep the faster."""
        start, plain = time.perf_counter(), self._programs[size]
        before = self.state()
        seconds = min(self._time(plain, chunk, 1) for _ in range(2))  # a first call is no measure
        if seconds * steps >= WORTH and not room_for_xla():
            warnings.warn(f"{NO_ROOM}, so this training goes without: start a new process.", stacklevel=2)
        elif seconds * steps >= WORTH:
            compiled = plain.by_xla(chunk)
            try:
                compiled.compile(chunk)
                self.jit = self._is_faster(compiled, plain, chunk, max(1, int(TRIAL / seconds)))
            except XLA_ERRORS:
                self.jit = False
            self._programs[size] = compiled if self.jit else plain
        self.restore(before)
        self.compile_seconds += time.perf_counter() - start

    def _is_faster(self, one: Program, other: Program, chunk: Chunk, steps: int) -> bool:
        """Whether a program takes such steps in less time than another, the best of some tries each, in turn."""
        best, others_best = np.inf, np.inf
        for _ in range(TRIALS):
            best = min(best, self._time(one, chunk, steps))
            others_best = min(others_best, self._time(other, chunk, steps))
            if best > HOPELESS * others_best:
                return False
        return bool(best < others_best)

    def _time(self, program: Program, chunk: Chunk, steps: int) -> float:
        """Seconds a step; the state moves on."""
        count = min(steps, program.capacity)
        start = time.perf_counter()
        program(chunk, Span(0, count, every=self.policy.norms, stops=False))
        return (time.perf_counter() - start) / count


def _is_finite(variable: Any) -> bool:  # noqa: ANN401 (TensorFlow has no types)
    return not variable.dtype.is_floating or bool(tf.reduce_all(tf.math.is_finite(variable)))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
