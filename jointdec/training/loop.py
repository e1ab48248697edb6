"""What every training loop shares: epochs, their results, and the guard against divergence.

A loop takes the steps of an epoch in chunks. A chunk is cleared by its losses and by its variables: a step that is not
finite leaves either a loss that is not finite or a variable that stays so, since NaN and Inf in weights or moments do
not go away. Only a chunk that is not cleared is looked at: the steps are taken again from the state that it started
from, up to before the bad one, by the same program, so that the bits are the same; the bad step is then taken once more
by itself with the norms of its gradients. The steps of a training that never goes wrong pay nothing for this. (To
withhold the bad update instead, every update would have to wait for all gradients: measured, 8 % at batch 50; the
gradients' norms in every step, which an earlier guard looked at, are 10 to 20 %.)

The bad step is the first one whose loss or whose update is not finite. Where the weights that a bad loss met are not
finite already, it is the step that made them so.

Taking steps again gives the same bits on a CPU, where all of this is tested; where it does not, the loop says so.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.training.result import EpochResult, columns, training_means
from jointdec.training.state import State

Rows = npt.NDArray[np.floating]


class Policy(NamedTuple):
    """What a loop does besides training.

    Attributes:
        on_divergence: ``stop``, ``skip`` or ``continue``, see `jointdec.config.TrainingConfig`.
        max_skipped: so many batches ``skip`` drops.
        norms: gradient norms are taken in every so many'th step.
    """

    on_divergence: str = "stop"
    max_skipped: int = 10
    norms: int = 20


class Steps(NamedTuple):
    """Consecutive steps of an epoch.

    Attributes:
        rows: (steps, columns) a loop's numbers of each.
        norm_steps: (k,) the steps of the epoch whose norms were taken.
        norms: (k, 1 + layers) of the whole gradient, and of each layer's.
    """

    rows: Rows
    norm_steps: npt.NDArray[np.int64]
    norms: Rows

    def until(self, first: int, stop: int) -> Steps:
        """Those before the step ``stop`` of the epoch, if these begin with ``first``."""
        early = self.norm_steps < stop
        return Steps(self.rows[: stop - first], self.norm_steps[early], self.norms[early])


class Taken(NamedTuple):
    """The steps taken, the bad step that ended them, and those skipped; in steps of the epoch."""

    steps: Steps
    bad: int | None
    skipped: Sequence[int]


class Loop(ABC):
    """Trains one model on one data set, an epoch a call.

    A subclass sets ``columns`` and ``layers``, the names of the numbers in `Steps`, and ``capacity``.

    Args:
        size: examples in an epoch.
        batch_size: examples in a batch; the last one of an epoch may have fewer.
        policy: what to do besides.
        val: what `evaluate` is given after each epoch; None if there is nothing to validate on.

    Attributes:
        jit: whether XLA compiles the steps.
        capacity: steps in a chunk; `run_steps` is never asked for steps of two chunks.
        compile_seconds: wall time that compiling has taken so far; not counted among an epoch's seconds.
        stops: whether `run_steps` is to stop at a loss that is not finite.
        bad_state: what the step started from that `EpochResult.diverged_at` names first; None while there is none.
        retaken_alike: whether steps that were taken again gave the same numbers, bit for bit.
    """

    columns: Sequence[str]
    layers: Sequence[str]
    capacity: int
    jit: bool = False
    compile_seconds = 0.0
    bad_state: State | None
    retaken_alike: bool

    def __init__(self, size: int, batch_size: int, policy: Policy, val: Any = None) -> None:  # noqa: ANN401
        self._size, self._batch_size, self._val = size, batch_size, val
        self._steps = -(-size // batch_size)
        self.begin(policy)

    def begin(self, policy: Policy) -> None:
        """Forget an earlier training: none of its batches counts as skipped."""
        self.policy = policy
        self.stops = policy.on_divergence != "continue"
        self._skips = policy.max_skipped if policy.on_divergence == "skip" else 0
        self.bad_state, self.retaken_alike = None, True

    @abstractmethod
    def run_steps(self, epoch: int, first: int, stop: int, norms: int) -> Steps:
        """Take the steps ``first`` to before ``stop`` of an epoch, or to the first loss that is not finite.

        Args:
            epoch: its number.
            first: a step of the epoch.
            stop: another one, at most at the end of the chunk that ``first`` is in.
            norms: gradient norms are wanted in every step whose global number is a multiple of it.
        """

    @abstractmethod
    def evaluate(self, examples: Any) -> dict[str, float]:  # noqa: ANN401 (whatever the loop was given as val)
        """The losses and metrics of held-out examples, with the weights as they are."""

    @abstractmethod
    def state(self) -> State:
        """A copy of what the next step starts from."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Go on from a state; KeyError where it lacks a variable."""

    @abstractmethod
    def sound(self) -> bool:
        """Whether all variables that last are finite."""

    def begin_epoch(self) -> None:  # noqa: B027 (most have nothing to do)
        """Forget what is summed up over an epoch."""

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train on every example once, in the order of the epoch, then evaluate the validation data.

        After a divergence the epoch ends with the state that the bad step started from.
        """
        self.begin_epoch()
        start, compiled = time.perf_counter(), self.compile_seconds
        taken = self.run_guarded(epoch, 0, self._steps) if self.stops else self._run_unguarded(epoch)
        seconds = time.perf_counter() - start - (self.compile_seconds - compiled)
        first_step = epoch * self._steps
        steps = columns(self.columns, taken.steps.rows)
        return EpochResult(
            epoch=epoch,
            first_step=first_step,
            steps=steps,
            train=training_means(steps, self._size, self._batch_size, taken.skipped),
            val={} if self._val is None else self.evaluate(self._val),
            seconds=seconds,
            norm_steps=first_step + taken.steps.norm_steps,
            norms=columns(["grad_norm", *self.layers], taken.steps.norms),
            diverged_at=None if taken.bad is None else first_step + taken.bad,
            skipped=tuple(first_step + step for step in taken.skipped),
        )

    def run_guarded(self, epoch: int, first: int, stop: int) -> Taken:
        """Take steps of an epoch; drop the batches of bad ones as long as that is allowed, then stop.

        After a bad step the state is the one that it started from. A step whose update is not finite though its
        gradient is ends the steps in any case: another batch would not help.
        """
        parts, skipped, at = [], list[int](), first
        while at < stop:
            end = min(stop, (at // self.capacity + 1) * self.capacity)
            before = self.state()
            steps = self.run_steps(epoch, at, end, self.policy.norms)
            bad = self._go_back(before, epoch, at, steps)
            if bad is None:
                parts.append(steps)
                at = end
                continue
            shown = self._show(epoch, bad)
            parts += [steps.until(at, bad), shown]
            by_itself = bool(np.isfinite(shown.rows).all() and np.isfinite(shown.norms).all())
            if by_itself or self._skips == 0:
                self.bad_state = self.state()
                return Taken(_joined(parts), bad, skipped)
            self._skips -= 1
            skipped.append(bad)
            at = bad + 1
        return Taken(_joined(parts), None, skipped)

    def _run_unguarded(self, epoch: int) -> Taken:
        """Train on, whatever happens; but keep what the first bad step started from."""
        parts, bad = [], None
        for at in range(0, self._steps, self.capacity):
            before = self.state()
            parts.append(self.run_steps(epoch, at, min(self._steps, at + self.capacity), self.policy.norms))
            if self.bad_state is None:
                after = self.state()
                bad = self._go_back(before, epoch, at, parts[-1])
                if bad is not None:
                    self.bad_state = self.state()
                    self.restore(after)
        taken = _joined(parts)
        return Taken(taken, _first_bad(taken.rows) if bad is None else bad, ())

    def _go_back(self, before: State, epoch: int, first: int, steps: Steps) -> int | None:
        """Find the first bad one of steps just taken, and go back to the state that it started from.

        Returns:
            The step, or None if there is none; then the state is as it was.
        """
        bad = _first_bad(steps.rows)
        if bad is None and self.sound():
            return None
        sound, unsound = 0, len(steps.rows)  # updates taken
        if bad is not None:
            self._take_again(before, epoch, first, steps.until(first, first + bad))
            if self.sound():
                return first + bad
            unsound = bad
        while unsound - sound > 1:
            middle = (sound + unsound) // 2
            self._take_again(before, epoch, first, steps.until(first, first + middle))
            sound, unsound = (middle, unsound) if self.sound() else (sound, middle)
        self._take_again(before, epoch, first, steps.until(first, first + sound))
        return first + sound

    def _take_again(self, before: State, epoch: int, first: int, steps: Steps) -> None:
        """Go back to the state after the steps from ``first`` on that gave these rows, and see that they do again."""
        self.restore(before)
        again = self.run_steps(epoch, first, first + len(steps.rows), self.policy.norms)
        self.retaken_alike &= np.array_equal(again.rows, steps.rows, equal_nan=True)

    def every_step(self, epoch: int, first: int, table: Rows, norms: int) -> Steps:
        """Steps of a loop that takes the norms in all of them: (steps, columns + 1 + layers)."""
        table = table.reshape(-1, len(self.columns) + 1 + len(self.layers))
        rows, taken = np.split(table, [len(self.columns)], axis=1)
        steps = first + np.arange(len(rows))
        wanted = (epoch * self._steps + steps) % norms == 0
        return Steps(rows, steps[wanted], taken[wanted])

    def _show(self, epoch: int, step: int) -> Steps:
        """A step's numbers, norms included; the state stays what it starts from."""
        before = self.state()
        shown = self.run_steps(epoch, step, step + 1, 1)
        self.restore(before)
        return shown


def _first_bad(rows: Rows) -> int | None:
    bad = ~np.isfinite(rows).all(axis=1)
    return int(bad.argmax()) if bad.any() else None


def _joined(parts: Sequence[Steps]) -> Steps:
    rows, norm_steps, norms = (np.concatenate(group) for group in zip(*parts, strict=True))
    return Steps(rows, norm_steps, norms)
