"""A loss that runs away while it is still finite: seen epochs before the NaN that it may end in.

Two signs, each with its step. A cross-entropy (and a squared error) of labels that are distributions is never negative,
so a loss below zero says that the labels are none. And a loss that stays at a thousand times its own recent median, and
above where it began, for some steps is not noise. (One step alone is: QM9 has HCN, whose features are 300 times as
long as the others'.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.training.result import EpochResult

BELOW_ZERO = -1e-3  # rounding can give a cross-entropy of -1e-7
GROWTH = 1000.0  # times the median of the steps before
STAYS = 5  # steps
WINDOW = 100  # steps that the median looks back on


class Runaway(NamedTuple):
    """The first step of a loss that runs away.

    Attributes:
        step: its global number.
        head: whose loss.
        kind: below_zero or growth.
        value: the loss in that step.
        median: of the absolute losses in the steps before, up to WINDOW of them; NaN in the first step.
    """

    step: int
    head: str
    kind: str
    value: float
    median: float

    @property
    def sentence(self) -> str:
        """What was seen."""
        if self.kind == "below_zero":
            return (
                f"The {self.head} loss fell below zero in step {self.step} ({self.value:.3g}), which the loss of "
                "labels that are distributions cannot: it has no lower bound here."
            )
        return (
            f"The {self.head} loss ran away in step {self.step}: {self.value:.3g}, after a median of {self.median:.3g}."
        )


class RunawayWatch:
    """Looks at an epoch at a time, and remembers what the next one is held against.

    Args:
        heads: whose losses it looks at.
        never_negative: those of them that cannot be below zero, if their labels are what they should be.
    """

    def __init__(self, heads: Sequence[str], never_negative: Sequence[str]) -> None:
        self._recent: dict[str, npt.NDArray[np.float64]] = {head: np.empty(0) for head in heads}
        self._never_negative = never_negative
        self._began: dict[str, float] = {}

    def __call__(self, result: EpochResult) -> Runaway | None:
        """The first step up to this epoch's end in which a loss began to run away, if there is one."""
        found = [self._look(head, result.steps[head], result.first_step) for head in self._recent]
        return min((runaway for runaway in found if runaway), key=lambda runaway: runaway.step, default=None)

    def _look(self, head: str, losses: npt.NDArray[np.float64], first_step: int) -> Runaway | None:
        before = self._recent[head]
        known = np.concatenate([before, losses])
        self._recent[head] = known[-WINDOW - STAYS + 1 :]
        if head not in self._began and np.isfinite(losses).any():
            self._began[head] = abs(float(losses[np.isfinite(losses)][0]))
        below = (known < BELOW_ZERO) & (head in self._never_negative)
        suspicious = np.isfinite(known) & (below | (np.abs(known) > self._began.get(head, np.inf)))
        suspicious[: max(0, len(before) - STAYS + 1)] = False  # these were judged before
        for index in np.flatnonzero(suspicious):
            past, stays = np.abs(known[max(0, index - WINDOW) : index]), np.abs(known[index : index + STAYS])
            past = past[np.isfinite(past)]
            median = float(np.median(past)) if len(past) else float("nan")
            grown = len(stays) == STAYS and stays.min() > GROWTH * median
            if below[index] or grown:
                kind = "below_zero" if below[index] else "growth"
                return Runaway(first_step - len(before) + int(index), head, kind, float(known[index]), median)
        return None
