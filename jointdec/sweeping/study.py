"""The study: what defines it, and the places of its trials.

A study has as many places as trials are wanted. Each is a waiting trial, which the storage gives to one worker alone,
however many ask from however many machines; so nothing is trained twice, and nothing too much. What was begun and not
ended, because its worker died or was stopped, gets another place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from jointdec.config import Config
from jointdec.errors import UserError
from jointdec.problems import DEFAULT
from jointdec.sweeping.plan import SweepConfig
from jointdec.sweeping.space import Space, grid
from jointdec.tracking.environment import HOST, host, is_alive
from jointdec.tracking.records import added, flat, spelling

DEFINITION, SESSION = "jointdec.definition", "jointdec.session"  # attributes of the study
CAUSE, AGAIN, REPEATS, DEATHS, RUN_ID, WORKER, SEEN, EPOCHS = (  # attributes of trials
    f"jointdec.{name}" for name in ("cause", "again", "repeats", "deaths", "run_id", "worker", "seen", "epochs")
)
MAX_DEATHS = 1  # how often a trial whose worker died is run again
SIGN_SECONDS = 30  # between two signs of life of a worker
GRACE_SECONDS = 120  # without one, until a worker on another machine counts as dead
NAMELESS_SECONDS = 30  # a trial is taken a moment before its worker has written down who it is


def define(settings: SweepConfig, space: Space, base: Config, digests: Sequence[str]) -> dict[str, str]:
    """All that trials of one study must have in common, by name."""
    searched = {dimension.key: dimension.text for dimension in space}
    definition = {f"search {key.lstrip('+')}": text for key, text in searched.items()}
    for name in ("objective", "direction", "sampler", "pruner", "penalty"):
        value = getattr(settings, name)
        definition[f"sweep.{name}"] = ", ".join(map(str, value)) if isinstance(value, list) else value
    definition["data digest"] = ", ".join(digests)
    fixed = {key: value for key, value in flat(base).items() if key not in searched and not key.startswith("tracking.")}
    return definition | fixed


def open_study(storage: BaseStorage, name: str, definition: Mapping[str, str], directions: Sequence[str]) -> None:
    """Make the study, or see that the one of this name is the same. Under `jointdec.sweeping.storage.locked`.

    Raises:
        UserError: there is another one of this name.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        study = optuna.create_study(
            study_name=name, storage=storage, directions=[StudyDirection[direction.upper()] for direction in directions]
        )
    except DuplicatedStudyError:
        _require_same(optuna.load_study(study_name=name, storage=storage), name, definition)
        return
    study.set_user_attr(DEFINITION, dict(definition))


def load_study(
    storage: BaseStorage, name: str, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> Study:
    """The study, as it is now: an instance of Optuna's class keeps what it has read for its sampler."""
    return Study(name, storage, sampler, pruner)


def register_session(study: Study, seed: int) -> list[int]:
    """Write down that another command works on the study, and what its samplers are seeded with. Under the lock.

    A study that goes on with the same seed would propose the same points again, so the seeds are made of ``seed`` and
    the number of commands before this one.

    Returns:
        Entropy; a worker's sampler is seeded with it and the worker's number.
    """
    number = sum(key.startswith(SESSION) for key in study.user_attrs)
    began = datetime.now().astimezone().isoformat(timespec="seconds")
    study.set_user_attr(f"{SESSION}/{number}", {"host": host(), "began": began, "entropy": [seed, number]})
    return [seed, number]


def make_sampler(name: str, entropy: Sequence[int]) -> BaseSampler:
    """The sampler; a grid's points are there already, so none of its is ever asked."""
    seed = int(np.random.SeedSequence(list(entropy)).generate_state(1)[0])
    return TPESampler(seed=seed) if name == "tpe" else RandomSampler(seed=seed)


def make_pruner(name: str, epochs: int) -> BasePruner:
    """The pruner, for trials of so many epochs; its steps are the epochs done.

    Hyperband looks first after a ninth of the epochs: after 1 of 20 hardly a molecule is exact yet, whatever the point.
    """
    if name == "hyperband":
        return HyperbandPruner(min_resource=max(epochs // 9, 1), max_resource=epochs, reduction_factor=3)
    return MedianPruner() if name == "median" else NopPruner()


def add_places(study: Study, settings: SweepConfig, space: Space) -> int:
    """Make places for trials until there are as many as wanted; the returned number. Under the lock."""
    points = grid(space) if settings.sampler == "grid" else [{}] * settings.n_trials
    places = sum(REPEATS not in trial.user_attrs for trial in study.get_trials(deepcopy=False))
    for point in points[places:]:
        study.enqueue_trial(dict(point))
    return max(places, len(points))


def take(study: Study, storage: BaseStorage) -> tuple[Trial, int] | None:
    """A place of one's own and the storage's id of it, or None if there is none left."""
    for waiting in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        trial_id = _storage_id(study, storage, waiting)
        try:
            if storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                return Trial(study, trial_id), trial_id
        except UpdateFinishedTrialError:
            continue
    return None


def give_back(study: Study, storage: BaseStorage, trial: FrozenTrial, cause: str, died: bool) -> None:
    """End a trial that was begun and not ended, and make a place for it again.

    Args:
        study: its study.
        storage: the study's.
        trial: the trial.
        cause: why it did not end.
        died: whether its worker died of it, perhaps; then it is repeated only so often.
    """
    trial_id = _storage_id(study, storage, trial)
    deaths = int(trial.user_attrs.get(DEATHS, 0)) + died
    again = deaths <= MAX_DEATHS
    try:
        for key, value in {CAUSE: cause, AGAIN: again, DEATHS: deaths}.items():
            storage.set_trial_user_attr(trial_id, key, value)
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return  # somebody else was quicker
    if again:
        _make_place_again(study, storage.get_trial(trial_id))


def give_back_dead(study: Study, storage: BaseStorage, cause: str, died: bool) -> list[FrozenTrial]:
    """End the running trials whose worker is gone, see `give_back`; the trials.

    A worker on another machine is gone when it has given no sign of life for GRACE_SECONDS.
    """
    dead = [trial for trial in running(study) if _is_gone(trial)]
    for trial in dead:
        give_back(study, storage, trial, cause, died)
    return dead


def running(study: Study) -> list[FrozenTrial]:
    """The trials that are, here or elsewhere."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def ended(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that are over for good: complete, pruned or failed, and not repeated."""
    again = repeated(trials)
    return [trial for trial in trials if trial.state.is_finished() and trial.number not in again]


def make_lost_places_again(study: Study) -> None:
    """Make the places again that a command was killed over before it could. Under the lock."""
    trials = study.get_trials(deepcopy=False)
    there = repeated(trials)
    for trial in trials:
        if trial.state == TrialState.FAIL and trial.user_attrs.get(AGAIN) and trial.number not in there:
            _make_place_again(study, trial)


def repeated(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that did not end and whose place was made again."""
    return {trial.user_attrs[REPEATS] for trial in trials if REPEATS in trial.user_attrs}


def _storage_id(study: Study, storage: BaseStorage, trial: FrozenTrial) -> int:
    study_id = storage.get_study_id_from_name(study.study_name)
    return storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)


def _make_place_again(study: Study, trial: FrozenTrial) -> None:
    study.enqueue_trial(trial.params, user_attrs={REPEATS: trial.number, DEATHS: trial.user_attrs.get(DEATHS, 0)})


def _is_gone(trial: FrozenTrial) -> bool:
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    worker = trial.user_attrs.get(WORKER)
    if worker is None:
        return time.time() - begun > NAMELESS_SECONDS
    if worker[HOST] == host():
        return not is_alive(worker)
    return time.time() - float(trial.user_attrs.get(SEEN, begun)) > GRACE_SECONDS


def _require_same(study: Study, name: str, definition: Mapping[str, str]) -> None:
    there = study.user_attrs.get(DEFINITION)
    if there is None:
        raise UserError(
            f"sweep.name={name}: there is a study of this name that is not jointdec's: choose another name."
        )
    earlier = {
        key: spelling(value) for key, value in added(definition.get("problem", DEFAULT)).items() if key in definition
    }
    there = earlier | there  # as it was before these were keys
    different = [key for key in {**there, **definition} if there.get(key) != definition.get(key)]
    if different:
        told = "; ".join(
            f"{key} was {there.get(key, 'absent')} and is {definition.get(key, 'absent')}" for key in different
        )
        raise UserError(
            f"sweep.name={name}: there is a study of this name with another definition ({told}): give this one another "
            "name, or ask for the same to go on with that one."
        )
