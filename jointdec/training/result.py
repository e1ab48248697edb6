"""What one epoch of training gives, whichever loop ran it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

STEP_METRICS = ("loss", "nodes", "edges", "grad_norm")
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EpochResult:
    """One epoch.

    Attributes:
        epoch: its number, from 0.
        first_step: the global number of its first step, from 0.
        steps: per optimizer step, each of STEP_METRICS as (steps,) float64: the batch's losses before the
            update, and the 2-norm over all trainable variables of the gradient that was applied. The norm is
            0 where float16's loss scaling skipped the update. An epoch that divergence ended has fewer steps.
        train: the epoch's means over molecules: loss, nodes, edges.
        val: loss, nodes, edges, node_accuracy, edge_accuracy, exact on the validation split after the epoch.
        seconds: wall time of the training steps alone, without validation.
        layers: per layer the 2-norm of its gradient, (steps,) float64, in canonical order.
        diverged_at: the global number of the step that ended the training, or under ``on_divergence=continue`` of the
            epoch's first step with a NaN or Inf; None if there was none.
        skipped: global numbers of the steps whose batches ``on_divergence=skip`` dropped.
    """

    epoch: int
    first_step: int
    steps: dict[str, Values]
    train: dict[str, float]
    val: dict[str, float]
    seconds: float
    layers: dict[str, Values] = field(default_factory=dict)
    diverged_at: int | None = None
    skipped: tuple[int, ...] = ()

    @property
    def step_numbers(self) -> npt.NDArray[np.int64]:
        """The global numbers of its steps, (steps,)."""
        return self.first_step + np.arange(len(self.steps["loss"]))

    @property
    def ms_per_step(self) -> float:
        """Wall time of one optimizer step in milliseconds."""
        return 1000 * self.seconds / len(self.steps["loss"])


def columns(names: Sequence[str], rows: npt.NDArray[np.floating]) -> dict[str, Values]:
    """The columns of ``rows`` (steps, len(names)) by name."""
    return dict(zip(names, rows.astype(np.float64).T, strict=True))


def training_means(
    steps: Mapping[str, Values], size: int, batch_size: int, skipped: Sequence[int] = ()
) -> dict[str, float]:
    """Means over molecules of the losses per step.

    Args:
        steps: at least loss, nodes and edges, each (steps,); fewer steps than an epoch has if it was cut short.
        size: molecules in a whole epoch.
        batch_size: molecules in a batch; the last batch of an epoch may have fewer.
        skipped: steps of the epoch that do not count.
    """
    first = batch_size * np.arange(len(steps["loss"]))
    counts = np.delete(np.minimum(size - first, batch_size), skipped)
    if not len(counts):
        return dict.fromkeys(("loss", "nodes", "edges"), float("nan"))
    return {name: float(np.delete(steps[name], skipped) @ counts / counts.sum()) for name in ("loss", "nodes", "edges")}


def diverged_at(results: Sequence[Any]) -> int | None:
    """The first step of a run with a NaN or Inf that was not skipped, or None."""
    return next((result.diverged_at for result in results if result.diverged_at is not None), None)
