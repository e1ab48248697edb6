"""What is kept of a divergence: the tensors of its step, and what was made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.divergence.catalogue import CAUSES

Array = npt.NDArray[np.floating]
NOT_FOUND = "not found"


class Traced(NamedTuple):
    """A tensor of the step.

    Attributes:
        name: e.g. dense, dense/kernel, gradient/dense/kernel, second/dense/kernel.
        part: input, weight, activation, loss, gradient, moment or update.
        operation: what gives it, in words.
        value: the numbers.
    """

    name: str
    part: str
    operation: str
    value: Array

    @property
    def bad(self) -> npt.NDArray[np.bool_]:
        """Where it is NaN or Inf."""
        return ~np.isfinite(self.value)

    @property
    def largest(self) -> float:
        """The largest finite absolute value; 0 if there is none."""
        return float(np.abs(self.value, where=~self.bad, out=np.zeros(self.value.shape)).max(initial=0))


@dataclass(frozen=True)
class Divergence:
    """What is known about the step that diverged.

    Attributes:
        step: its global number.
        batch: rows of the training split, in their order in the batch, (B,).
        tensor: the name of the first tensor that is not finite, see `Traced`; or
            ``not found``.
        where: the first bad element, and how many there are, in a sentence; and whose it is.
        cause: one of `jointdec.divergence.catalogue.CAUSES`.
        evidence: why that cause.
        trace: all tensors of the step.
        compiled: whether the step had to be compiled with XLA to show it: op by op it was finite.
        runaway: the loss ran away while every number was finite; ``tensor`` is the head's loss, and the trace is of
            its batch from the weights after the epoch.
        own_override: overrides that try it, where they name the problem's own keys.
        operation: TensorFlow's name of the operation that gave the tensor; empty where that is not known.
        line: of the user's code, as "house.py:31"; empty where there is none.
    """

    step: int
    batch: npt.NDArray[np.integer]
    tensor: str
    where: str
    cause: str
    evidence: str
    trace: Sequence[Traced]
    compiled: bool
    runaway: bool = False
    own_override: str = ""
    operation: str = ""
    line: str = ""

    @property
    def remedy(self) -> str:
        """What to try."""
        return CAUSES[self.cause].remedy

    @property
    def override(self) -> str:
        """Overrides that try it on this step; empty where that cannot help."""
        return "" if self.runaway else self.own_override or CAUSES[self.cause].override

    @property
    def sentence(self) -> str:
        """What happened, and where."""
        if self.runaway:
            return f"in step {self.step}: {self.tensor} ran away. {self.where}"
        at = f" at {self.line}" if self.line else ""
        return f"in step {self.step}; first not finite: {self.tensor}{at}. {self.where}"
