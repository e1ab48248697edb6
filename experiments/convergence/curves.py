"""The trials' curves, thinned out: validation after every epoch, the training loss in every tenth of an epoch."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LOSSES = ("loss", "nodes", "edges")
VALIDATION = (*LOSSES, "node_accuracy", "edge_accuracy", "exact")
TENTHS = 10  # windows an epoch, each of as many molecules whatever the batch


@dataclass(frozen=True)
class Curve:
    """A run.

    Attributes:
        level, seed: which one.
        steps_per_epoch: optimizer steps in an epoch.
        validation: metric -> its value after each epoch, (epochs,).
        train: median loss of the steps in each tenth of an epoch, (10 * epochs,). A mean would be that of a few
            molecules with features far from all others'.
    """

    level: str
    seed: int
    steps_per_epoch: int
    validation: dict[str, Floats]
    train: Floats

    @property
    def epochs(self) -> int:
        """How many were trained."""
        return len(self.validation["loss"])

    def at(self, metric: str, epoch: float) -> float:
        """A metric of the validation split after so many epochs, a fraction too.

        Between two epochs it follows the line over the logarithm of the epochs, and a loss its own logarithm's: losses
        fall about as a power of the epochs.

        Raises:
            ValueError: that was not trained, or is within the first epoch, which nothing was validated in.
        """
        if not 1 <= epoch <= self.epochs + 1e-9:
            raise ValueError(f"{self.level} was validated after 1 to {self.epochs} epochs, not after {epoch:.3g}")
        known, values = np.log(np.arange(1, self.epochs + 1)), self.validation[metric]
        if metric in LOSSES:
            return float(np.exp(np.interp(np.log(epoch), known, np.log(values))))
        return float(np.interp(np.log(epoch), known, values))

    def epochs_to(self, loss: float) -> float:
        """After how many epochs the training loss is down at a value for the first time; infinite if never."""
        below = np.flatnonzero(self.train <= loss)
        if not len(below):
            return np.inf
        first = below[0]
        if first == 0:
            return 1 / TENTHS
        before, after = np.log(self.train[first - 1 : first + 1])
        return float((first + (before - np.log(loss)) / (before - after)) / TENTHS)


def read(level: str, seed: int, folder: Path) -> Curve:
    """The curve of a trial that was trained to its end."""
    arrays = np.load(folder / "curves.npz")
    epochs, loss = len(arrays["epoch"]), arrays["step/loss"]
    steps = len(loss) // epochs
    bounds = np.linspace(0, steps, TENTHS + 1).round().astype(int)
    windows = [np.median(epoch[low:high]) for epoch in loss.reshape(epochs, steps) for low, high in pairwise(bounds)]
    validation = {name: arrays[f"val/{name}"].astype(np.float64) for name in VALIDATION}
    return Curve(level, seed, steps, validation, np.array(windows))


def save(curves: Sequence[Curve], folder: Path) -> None:
    """Write epochs.csv and train.csv."""
    _write(folder / "epochs.csv", ["level", "seed", "epoch", "steps", *VALIDATION], [
        [curve.level, curve.seed, epoch + 1, (epoch + 1) * curve.steps_per_epoch,
         *(f"{curve.validation[name][epoch]:.6g}" for name in VALIDATION)]
        for curve in curves for epoch in range(curve.epochs)
    ])  # fmt: skip
    _write(folder / "train.csv", ["level", "seed", "tenth_of_epoch", "median_loss"], [
        [curve.level, curve.seed, number + 1, f"{loss:.5g}"]
        for curve in curves for number, loss in enumerate(curve.train)
    ])  # fmt: skip


def _write(file: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened, lineterminator="\n").writerows([head, *rows])
