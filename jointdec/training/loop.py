"""What every training loop shares: epochs, their results, and the guard against divergence.

A loop takes the steps of an epoch and stops at a bad one, which has a NaN or Inf in its losses or gradients. By then it
has taken the bad update, so the epoch is taken again up to before that step: the state is then the one that the bad
step started from. To withhold the update instead, every update would have to wait until all gradients are known to be
finite: measured, that makes every step 8 % slower (batch 50), where stopping and going back costs a step nothing.

An update can also turn out not finite though its gradient is (a corrupted moment, 0/0 with epsilon 0). Only later steps
show it: where the weights that a bad step met are not finite, the bad one is the step that made them so.

Taking steps again gives the same bits on a CPU, where all of this is tested; where it does not, the loop says so.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.data.dataset import Dataset, Split
from jointdec.models.architecture import architecture
from jointdec.training.order import batch_order, steps_per_epoch
from jointdec.training.result import STEP_METRICS, EpochResult, columns, training_means
from jointdec.training.state import State

Rows = npt.NDArray[np.floating]


class Taken(NamedTuple):
    """The steps taken: a row for each, the bad step that ended them, and those skipped; in steps of the epoch."""

    rows: Rows
    bad: int | None
    skipped: Sequence[int]


class Loop(ABC):
    """Trains one formulation on one data set, an epoch a call.

    Attributes:
        compile_seconds: wall time that compiling has taken so far; not counted among an epoch's seconds.
        stops: whether `run_steps` is to stop at a bad step.
        bad_state: what the step started from that `EpochResult.diverged_at` names first; None while there is none.
        retaken_alike: whether steps that were taken again gave the same numbers, bit for bit.
    """

    compile_seconds = 0.0
    bad_state: State | None
    retaken_alike: bool

    def __init__(self, config: Config, dataset: Dataset) -> None:
        self._batch_size, self._dataset = config.training.batch_size, dataset
        self._size = len(dataset.train)
        self._steps = steps_per_epoch(self._size, self._batch_size)
        self._layers = [dense.name for dense in architecture(config.model).layers]
        self.stops = config.training.on_divergence != "continue"
        self.begin(config)

    def begin(self, config: Config) -> None:
        """Forget an earlier training: the order of batches is that of this seed, and none is skipped yet."""
        self._seed, self._reshuffle = config.seed, config.training.reshuffle
        self._skips = config.training.max_skipped if config.training.on_divergence == "skip" else 0
        self.bad_state, self.retaken_alike = None, True

    def order(self, epoch: int) -> npt.NDArray[np.int32]:
        """The rows of the training split in the order of an epoch."""
        return batch_order(self._seed, epoch, self._size, reshuffle=self._reshuffle)

    @abstractmethod
    def run_steps(self, epoch: int, first: int, stop: int) -> Rows:
        """Take the steps ``first`` to before ``stop`` of an epoch, or to the first bad one.

        Returns:
            (steps taken, 4 + layers): STEP_METRICS, and each layer's gradient norm.
        """

    @abstractmethod
    def evaluate(self, split: Split) -> dict[str, float]:
        """Means over a split: loss, nodes, edges, node_accuracy, edge_accuracy, exact."""

    @abstractmethod
    def state(self) -> State:
        """A copy of what the next step starts from."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Go on from a state."""

    def run_epoch(self, epoch: int) -> EpochResult:
        """Train on every molecule once, in the order of (seed, epoch), then evaluate the validation split.

        After a divergence the epoch ends with the state that the bad step started from.
        """
        start, compiled = time.perf_counter(), self.compile_seconds
        taken = self.run_guarded(epoch, 0, self._steps) if self.stops else self._run_unguarded(epoch)
        seconds = time.perf_counter() - start - (self.compile_seconds - compiled)
        first_step = epoch * self._steps
        steps = columns(STEP_METRICS, taken.rows[:, : len(STEP_METRICS)])
        return EpochResult(
            epoch=epoch,
            first_step=first_step,
            steps=steps,
            train=training_means(steps, self._size, self._batch_size, taken.skipped),
            val=self.evaluate(self._dataset.val),
            seconds=seconds,
            layers=columns(self._layers, taken.rows[:, len(STEP_METRICS) :]),
            diverged_at=None if taken.bad is None else first_step + taken.bad,
            skipped=tuple(first_step + step for step in taken.skipped),
        )

    def sound(self) -> bool:
        """Whether all weights are finite."""
        return self.state().finite_weights

    def run_guarded(self, epoch: int, first: int, stop: int) -> Taken:
        """Take steps of an epoch; drop the batches of bad ones as long as that is allowed, then stop.

        After a bad step the state is the one that it started from. A step whose update is not finite by itself ends
        the steps in any case: another batch would not help.
        """
        taken = self._run_guarded(epoch, first, stop)
        self._skips -= len(taken.skipped)
        if taken.bad is not None:
            self.bad_state = self.state()
        return taken

    def _run_guarded(self, epoch: int, first: int, stop: int) -> Taken:
        parts, skipped = [], list[int]()
        start, before = first, self.state()
        while start < stop:
            parts.append(self.run_steps(epoch, start, stop))
            bad = _first_bad(parts[-1]) is not None
            at = start + len(parts[-1]) - bad  # the state belongs to this step, once a bad one is undone
            if bad:
                self._take_again(before, epoch, start, parts[-1][: at - start])
            if not self.sound():
                at = self._go_back_to_sound(before, epoch, start, parts[-1][: at - start])
                return Taken(np.concatenate(parts)[: at + 1 - first], at, skipped)
            if not bad:
                break
            if len(skipped) == self._skips:
                return Taken(np.concatenate(parts), at, skipped)
            skipped.append(at)
            start, before = at + 1, self.state()
        return Taken(np.concatenate(parts), None, skipped)

    def _run_unguarded(self, epoch: int) -> Taken:
        """Train on, whatever happens; but keep what the first bad step started from."""
        before = self.state()
        rows = self.run_steps(epoch, 0, self._steps)
        bad = _first_bad(rows)
        if self.bad_state or (bad is None and self.sound()):
            return Taken(rows, bad, ())
        after, at = self.state(), len(rows) if bad is None else bad
        self._take_again(before, epoch, 0, rows[:at])
        if not self.sound():
            at = self._go_back_to_sound(before, epoch, 0, rows[:at])
        self.bad_state = self.state()
        self.restore(after)
        return Taken(rows, at, ())

    def _take_again(self, before: State, epoch: int, first: int, rows: Rows) -> None:
        """Go back to the state after the steps from ``first`` on that gave these rows, and see that they do again."""
        self.restore(before)
        again = self.run_steps(epoch, first, first + len(rows))
        self.retaken_alike &= np.array_equal(again, rows, equal_nan=True)

    def _go_back_to_sound(self, before: State, epoch: int, first: int, rows: Rows) -> int:
        """Of the steps that gave these rows, go back to before the one whose update made the weights not finite."""
        sound, unsound = 0, len(rows)  # updates taken
        while unsound - sound > 1:
            middle = (sound + unsound) // 2
            self._take_again(before, epoch, first, rows[:middle])
            sound, unsound = (middle, unsound) if self.sound() else (sound, middle)
        self._take_again(before, epoch, first, rows[:sound])
        return first + sound


def _first_bad(rows: Rows) -> int | None:
    bad = ~np.isfinite(rows).all(axis=1)
    return int(bad.argmax()) if bad.any() else None
