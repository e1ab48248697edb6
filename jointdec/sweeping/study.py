"""The study: what defines it, and the places of its trials.

A study has as many places as trials are wanted. Each is a waiting trial, which the storage gives to one worker alone,
however many ask from however many machines; so nothing is trained twice, and nothing too much. What was begun and not
ended, because its worker died or was stopped, gets another place.
"""

from __future__ import annotations

import logging
import time
import warnings
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, fail_stale_trials
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from jointdec.config import Config
from jointdec.errors import UserError
from jointdec.sweeping.settings import SweepConfig
from jointdec.sweeping.space import Space, grid
from jointdec.tracking.identity import HOST, host, is_alive
from jointdec.tracking.records import flat

DEFINITION, PLACES, SESSION = "jointdec.definition", "jointdec.places", "jointdec.session"  # attributes of the study
CAUSE, REPEATS, DEATHS, RUN_ID = (  # attributes of trials
    f"jointdec.{name}" for name in ("cause", "repeats", "deaths", "run_id")
)
MAX_DEATHS = 1  # how often a trial whose worker died is run again
WAIT_SECONDS = 10  # for another machine that has just made the study to write down what it is
NAMELESS_SECONDS = 60  # a trial is taken before its worker has written down who it is


def define(settings: SweepConfig, space: Space, base: Config, digests: Sequence[str]) -> dict[str, str]:
    """All that trials of one study must have in common, by name."""
    searched = {dimension.key: dimension.text for dimension in space}
    definition = {f"search {key}": text for key, text in searched.items()}
    for name in ("objective", "direction", "sampler", "pruner", "penalty"):
        value = getattr(settings, name)
        definition[f"sweep.{name}"] = ", ".join(map(str, value)) if isinstance(value, list) else value
    definition["data digest"] = ", ".join(digests)
    fixed = {key: value for key, value in flat(base).items() if key not in searched and not key.startswith("tracking.")}
    return definition | fixed


def open_study(storage: BaseStorage, name: str, definition: Mapping[str, str], directions: Sequence[str]) -> None:
    """Make the study, or see that the one of this name is the same; then another command may be making its places yet.

    Raises:
        UserError: there is another one of this name.
    """
    optuna.logging.set_verbosity(logging.WARNING)
    try:
        study = optuna.create_study(
            study_name=name, storage=storage, directions=[StudyDirection[direction.upper()] for direction in directions]
        )
    except DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage)
        _require_same(study, name, definition)
        _wait_for(study, PLACES)
        return
    study.set_user_attr(DEFINITION, dict(definition))


def load_study(
    storage: BaseStorage, name: str, sampler: BaseSampler | None = None, pruner: BasePruner | None = None
) -> Study:
    """The study, as it is now: an instance of Optuna's class keeps what it has read for its sampler."""
    return Study(name, storage, sampler, pruner)


def register_session(study: Study, storage: BaseStorage, seed: int) -> list[int]:
    """Write down that another command works on the study, and what its samplers are seeded with.

    A study that goes on with the same seed would propose the same points again. So the seeds are made of ``seed``, the
    number of sessions before this one and, where several machines may start at once, the machine's name.

    Returns:
        Entropy; a worker's sampler is seeded with it and the worker's number.
    """
    number = sum(key.startswith(SESSION) for key in study.user_attrs)
    entropy = [seed, number]
    if not isinstance(storage, JournalStorage):
        entropy.append(zlib.crc32(host().encode()))
    facts = {"host": host(), "began": datetime.now().astimezone().isoformat(timespec="seconds"), "entropy": entropy}
    study.set_user_attr(f"{SESSION}/{number}/{host()}", facts)
    return entropy


def make_sampler(name: str, entropy: Sequence[int]) -> BaseSampler:
    """The sampler; a grid's points are there already, so none of its is ever asked."""
    seed = int(np.random.SeedSequence(list(entropy)).generate_state(1)[0])
    return TPESampler(seed=seed) if name == "tpe" else RandomSampler(seed=seed)


def make_pruner(name: str, epochs: int) -> BasePruner:
    """The pruner, for trials of so many epochs; its steps are the epochs done."""
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    return MedianPruner() if name == "median" else NopPruner()


def add_places(study: Study, settings: SweepConfig, space: Space) -> int:
    """Make places for trials until there are as many as wanted.

    Returns:
        How many there are.
    """
    points = grid(space) if settings.sampler == "grid" else [{}] * settings.n_trials
    places = sum(REPEATS not in trial.user_attrs for trial in study.get_trials(deepcopy=False))
    for point in points[places:]:
        study.enqueue_trial(dict(point))
    study.set_user_attr(PLACES, max(places, len(points)))
    return max(places, len(points))


def take(study: Study, storage: BaseStorage) -> tuple[Trial, int] | None:
    """A place of one's own and the storage's id of it, or None if there is none left."""
    study_id = storage.get_study_id_from_name(study.study_name)
    for waiting in study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, waiting.number)
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
    study_id = storage.get_study_id_from_name(study.study_name)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
    try:
        storage.set_trial_user_attr(trial_id, CAUSE, cause)
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return  # somebody else was quicker
    make_place_again(study, trial, died)


def make_place_again(study: Study, trial: FrozenTrial, died: bool = True) -> None:
    """Let the point of a trial that did not end be tried again, unless too many workers died of it."""
    deaths = trial.user_attrs.get(DEATHS, 0) + died
    if deaths <= MAX_DEATHS:
        study.enqueue_trial(trial.params, user_attrs={REPEATS: trial.number, DEATHS: deaths})


def give_back_dead(study: Study, storage: BaseStorage, cause: str, died: bool) -> int:
    """End the running trials whose worker is gone, see `give_back`.

    Of workers on other machines only a database knows whether they live: they give it a sign every HEARTBEAT seconds.

    Returns:
        How many there were on this machine.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)  # calls make_place_again
    dead = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        if HOST not in trial.user_attrs:
            gone = time.time() - begun > NAMELESS_SECONDS
        else:
            gone = trial.user_attrs[HOST] == host() and not is_alive(trial.user_attrs)
        if gone:
            give_back(study, storage, trial, cause, died)
            dead += 1
    return dead


def repeated(trials: Sequence[FrozenTrial]) -> set[int]:
    """Numbers of the trials that did not end and whose place was made again."""
    return {trial.user_attrs[REPEATS] for trial in trials if REPEATS in trial.user_attrs}


def _require_same(study: Study, name: str, definition: Mapping[str, str]) -> None:
    there = _wait_for(study, DEFINITION)
    if there is None:
        raise UserError(
            f"sweep.name={name}: there is a study of this name that is not jointdec's: choose another name."
        )
    different = [key for key in {**there, **definition} if there.get(key) != definition.get(key)]
    if different:
        told = "; ".join(
            f"{key} was {there.get(key, 'absent')} and is {definition.get(key, 'absent')}" for key in different
        )
        raise UserError(
            f"sweep.name={name}: there is a study of this name with another definition ({told}): give this one another "
            "name, or ask for the same to go on with that one."
        )


def _wait_for(study: Study, attribute: str) -> Any:  # noqa: ANN401 (whatever is written there)
    """An attribute of the study that another machine may be about to write; None if it does not."""
    until = time.time() + WAIT_SECONDS
    while (value := study.user_attrs.get(attribute)) is None and time.time() < until:
        time.sleep(0.2)
    return value
