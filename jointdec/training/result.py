"""What one epoch of training gives, whichever loop ran it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEP_METRICS = ("loss", "nodes", "edges", "grad_norm")


@dataclass(frozen=True)
class EpochResult:
    """One epoch.

    Attributes:
        epoch: its number, from 0.
        first_step: the global number of its first step, from 0.
        steps: per optimizer step, each of STEP_METRICS as (steps,) float64: the batch's losses before the
            update, and the 2-norm over all trainable variables of the gradient that was applied. The norm is
            0 where float16's loss scaling skipped the update.
        train: the epoch's means over molecules: loss, nodes, edges.
        val: loss, nodes, edges, node_accuracy, edge_accuracy, exact on the validation split after the epoch.
        seconds: wall time of the training steps alone, without validation.
    """

    epoch: int
    first_step: int
    steps: dict[str, npt.NDArray[np.float64]]
    train: dict[str, float]
    val: dict[str, float]
    seconds: float

    @property
    def ms_per_step(self) -> float:
        """Wall time of one optimizer step in milliseconds."""
        return 1000 * self.seconds / len(self.steps["loss"])

    @property
    def diverged_at(self) -> int | None:
        """The global number of the first step with a NaN or Inf in its losses or gradient, or None."""
        bad = ~np.logical_and.reduce([np.isfinite(values) for values in self.steps.values()])
        return self.first_step + int(np.argmax(bad)) if bad.any() else None


def training_means(steps: dict[str, npt.NDArray[np.float64]], size: int, batch_size: int) -> dict[str, float]:
    """Means over an epoch's ``size`` molecules of the losses per step, whose last batch may be smaller."""
    counts = np.full(len(steps["loss"]), batch_size)
    counts[-1] = size - batch_size * (len(counts) - 1)
    return {name: float(steps[name] @ counts / size) for name in ("loss", "nodes", "edges")}
