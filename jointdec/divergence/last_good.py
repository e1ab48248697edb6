"""The last good state of a run that diverged: kept in divergence/state.npz, and where a replay goes on from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.dataset import Dataset
from jointdec.errors import UserError
from jointdec.objective.formulation import make_formulation
from jointdec.training import make_training
from jointdec.training.from_config import fit_labels
from jointdec.training.loop import Loop
from jointdec.training.order import steps_per_epoch
from jointdec.training.result import Values, columns
from jointdec.training.state import State, read_arrays

TURNED = (
    "adam/learning_rate",
    "sgd/learning_rate",
    "epsilon",
    "loss_weight_",
    "term_weight_",
)  # a remedy may have changed them
OWN = (
    "loss_scale_optimizer/",
    "loss/",
    "compile_loss/",
)  # of one formulation or precision, and not of another; sums over an epoch


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
    """Steps taken from the last good state: each loss of them, the bad one's global number, what that started from."""

    losses: dict[str, Values]
    bad: int | None
    state: State | None


def go_on(config: Config, dataset: Dataset, last_good: LastGood, steps: int) -> Went:
    """Take the step that diverged, and ``steps`` after it, by the configuration's own loop; stop at a bad one.

    Raises:
        UserError: the state is not of the configuration's model.
    """
    training = start_from(config, dataset, last_good.state)
    per_epoch = steps_per_epoch(len(dataset.train), config.training.batch_size)
    first, end, parts = last_good.step, last_good.step + 1 + steps, []
    bad = None
    while first < end and bad is None:
        epoch, within = divmod(first, per_epoch)
        taken = training.run_guarded(epoch, within, min(per_epoch, within + end - first))
        parts.append(taken.steps.rows)
        bad = None if taken.bad is None else epoch * per_epoch + taken.bad
        first += len(taken.steps.rows)
    losses = columns(training.columns, np.concatenate(parts))
    return Went(losses, bad, None if bad is None else training.state())


def start_from(config: Config, dataset: Dataset, state: State) -> Loop:
    """The configuration's own loop, in a state.

    Raises:
        UserError: the state is not of the configuration's model.
    """
    # whatever the run did at a bad step, it is the bad step that matters here
    stop = replace(config.training, on_divergence="stop")
    formulation = make_formulation(config, dataset.train.x)
    training = make_training(replace(config, training=stop), formulation, fit_labels(dataset, formulation))
    turned = (*TURNED, *formulation.problem.live)
    own_sums = (*OWN, *(f"{curve}/value" for curve in formulation.curves))
    own = dict(training.state().values)
    shared = {path: value for path, value in state.values.items() if path in own and not path.startswith(turned)}
    lacking = [path for path in own if path not in shared and not path.startswith((*own_sums, *turned))]
    shapes = all(np.shape(value) == np.shape(own[path]) for path, value in shared.items())
    if lacking or not shapes:
        raise UserError(f"The weights in divergence/state.npz are not those of model={config.model.name}.")
    training.restore(State({**own, **shared}))
    return training
