"""The last good state of a run that diverged: kept in divergence/state.npz, and where a replay goes on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.config import AdamConfig, Config
from jointdec.data.dataset import Dataset
from jointdec.errors import UserError
from jointdec.losses.formulation import make_formulation
from jointdec.training import make_training
from jointdec.training.loop import Loop
from jointdec.training.order import steps_per_epoch
from jointdec.training.state import State, read_arrays


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
        kept = read_arrays(file)
        return LastGood(int(kept["step"]), kept["batch"], State.from_arrays(kept))
    except (KeyError, ValueError) as error:
        raise UserError(f"The artifact divergence/state.npz of the run lacks something ({error}).") from error


class Went(NamedTuple):
    """Steps taken from the last good state: their rows, the bad one in global numbers, and what that started from."""

    rows: npt.NDArray[Any]
    bad: int | None
    state: State | None


def go_on(config: Config, dataset: Dataset, last_good: LastGood, steps: int) -> Went:
    """Take the step that diverged, and ``steps`` after it, by the configuration's own loop; stop at a bad one.

    Raises:
        UserError: the state is not of the configuration's model.
    """
    training = _start_from(config, dataset, last_good.state)
    per_epoch = steps_per_epoch(len(dataset.train), config.training.batch_size)
    first, end, parts = last_good.step, last_good.step + 1 + steps, []
    while first < end:
        epoch, within = divmod(first, per_epoch)
        taken = training.run_guarded(epoch, within, min(per_epoch, within + end - first))
        parts.append(taken.rows)
        if taken.bad is not None:
            return Went(np.concatenate(parts), epoch * per_epoch + taken.bad, training.state())
        first += len(taken.rows)
    return Went(np.concatenate(parts), None, None)


def _start_from(config: Config, dataset: Dataset, state: State) -> Loop:
    formulation = make_formulation(config)
    moments = ("first", "second") if isinstance(config.optimizer, AdamConfig) else ()
    for group in ("weights", *moments):
        shapes = {name: tuple(array.shape) for name, array in getattr(state, group).items()}
        if shapes != {name: tuple(variable.shape) for name, variable in formulation.variables.items()}:
            raise UserError(f"The {group} in divergence/state.npz are not those of model={config.model.name}.")
    # whatever the run did at a bad step, it is the bad step that matters here
    stop = replace(config.training, on_divergence="stop")
    training = make_training(replace(config, training=stop), formulation, dataset)
    training.restore(state)
    return training
