"""What one epoch of training gives, whichever loop ran it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EpochResult:
    """One epoch.

    Attributes:
        epoch: its number, from 0.
        first_step: the global number of its first step, from 0.
        steps: name -> (steps,) float64, the losses of each step's batch before the update: ``loss``, the total, and one
            entry a head; or what else a ``train_step`` of the user's logs. An epoch that divergence ended has fewer.
        train: the epoch's means over rows, of the same names.
        val: losses and metrics on the validation split after the epoch; empty where there is none.
        seconds: wall time of the training steps alone, without validation.
        norm_steps: (k,) the global numbers of the steps whose gradient was measured: every n-th, or none.
        norms: name -> (k,) float64, the 2-norm of the gradient that was applied in each of them: ``grad_norm`` over all
            trainable variables, then each layer by its path. 0 where float16's loss scaling skipped the update.
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
    norm_steps: Steps = field(default_factory=lambda: np.empty(0, np.int64))
    norms: dict[str, Values] = field(default_factory=dict)
    diverged_at: int | None = None
    skipped: tuple[int, ...] = ()

    @property
    def step_numbers(self) -> Steps:
        """The global numbers of its steps, (steps,)."""
        return self.first_step + np.arange(_count(self.steps))

    @property
    def ms_per_step(self) -> float:
        """Wall time of one optimizer step in milliseconds."""
        return 1000 * self.seconds / _count(self.steps)


def all_steps(results: Sequence[EpochResult]) -> tuple[Steps, dict[str, Values]]:
    """The epochs' steps one after another: their numbers (steps,), and each loss (steps,)."""
    names = results[0].steps
    curves = {name: np.concatenate([result.steps[name] for result in results]) for name in names}
    return np.concatenate([result.step_numbers for result in results]), curves


def all_norms(results: Sequence[EpochResult]) -> tuple[Steps, dict[str, Values]]:
    """The epochs' gradient norms one after another: the numbers of their steps (k,), and each norm (k,)."""
    measured = [result for result in results if len(result.norm_steps)]
    names = measured[0].norms if measured else {}
    curves = {name: np.concatenate([result.norms[name] for result in measured]) for name in names}
    return np.concatenate([np.empty(0, np.int64), *(result.norm_steps for result in measured)]), curves


def all_epochs(results: Sequence[EpochResult]) -> dict[str, Values]:
    """The epochs' figures one after another, (epochs,) each: ``train/…`` and ``val/…``; NaN where an epoch has none."""
    figures = [
        {f"train/{name}": value for name, value in result.train.items()}
        | {f"val/{name}": value for name, value in result.val.items()}
        for result in results
    ]
    names = dict.fromkeys(name for figure in figures for name in figure)
    return {name: np.array([figure.get(name, np.nan) for figure in figures]) for name in names}


def columns(names: Sequence[str], rows: npt.NDArray[np.floating]) -> dict[str, Values]:
    """The columns of ``rows`` (steps, len(names)) by name."""
    return dict(zip(names, rows.astype(np.float64).T, strict=True))


def training_means(
    steps: Mapping[str, Values], size: int, batch_size: int, skipped: Sequence[int] = ()
) -> dict[str, float]:
    """Means over rows of the losses per step.

    Args:
        steps: each loss, (steps,); fewer steps than an epoch has if it was cut short.
        size: rows in a whole epoch.
        batch_size: rows in a batch; the last batch of an epoch may have fewer.
        skipped: steps of the epoch that do not count.
    """
    first = batch_size * np.arange(_count(steps))
    counts = np.delete(np.minimum(size - first, batch_size), skipped)
    if not len(counts):
        return dict.fromkeys(steps, float("nan"))
    return {name: float(np.delete(values, skipped) @ counts / counts.sum()) for name, values in steps.items()}


def _count(steps: Mapping[str, Values]) -> int:
    """How many steps; a ``train_step`` of the user's need not log a loss."""
    return len(next(iter(steps.values())))


def diverged_at(results: Sequence[Any]) -> int | None:
    """The first step of a run with a NaN or Inf that was not skipped, or None."""
    return next((result.diverged_at for result in results if result.diverged_at is not None), None)
