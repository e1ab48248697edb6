"""The last good state of a run that diverged: kept in divergence/state.npz, and where a replay goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.data.dataset import Dataset
from jointdec.errors import UserError
from jointdec.losses.formulation import make_formulation
from jointdec.training import make_training
from jointdec.training.loop import Loop
from jointdec.training.state import State


class LastGood(NamedTuple):
    """A step that diverged: its global number, its batch's rows of the training split, and what it started from."""

    step: int
    batch: npt.NDArray[Any]
    state: State

    def save(self, file: Path) -> None:
        """Write it as divergence/state.npz."""
        self.state.save(file, batch=self.batch, step=np.array(self.step))


def read_last_good(file: Path) -> LastGood:
    """Read what the run left before the step that diverged.

    Raises:
        UserError: the file is not what `jointdec.training.state.State.save` writes.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            kept = dict(arrays)
        return LastGood(int(kept["step"]), kept["batch"], State.from_arrays(kept))
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f"The artifact divergence/state.npz of the run cannot be read ({error}).") from error


class Went(NamedTuple):
    """Steps taken from the last good state: their rows, the bad one in global numbers, and what that started from."""

    first: int
    rows: npt.NDArray[Any]
    bad: int | None
    state: State | None


def go_on(config: Config, dataset: Dataset, last_good: LastGood, steps: int) -> Went:
    """Take the step that diverged, and ``steps`` after it, by the configuration's own loop."""
    training = start_from(config, dataset, last_good.state)
    per_epoch = -(-len(dataset.train) // config.training.batch_size)
    first, end, parts = last_good.step, last_good.step + 1 + steps, []
    while first < end:
        epoch, within = divmod(first, per_epoch)
        taken = training.run_guarded(epoch, within, min(per_epoch, within + end - first))
        parts.append(taken.rows)
        if taken.bad is not None:
            return Went(last_good.step, np.concatenate(parts), epoch * per_epoch + taken.bad, training.state())
        first += len(taken.rows)
    return Went(last_good.step, np.concatenate(parts), None, None)


def start_from(config: Config, dataset: Dataset, state: State) -> Loop:
    """The configuration's loop, at this state."""
    training = make_training(config, make_formulation(config), dataset)
    training.restore(state)
    return training
