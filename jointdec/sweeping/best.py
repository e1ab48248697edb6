"""The best trials of a study, and how to run them again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from omegaconf import OmegaConf
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from jointdec.config import GROUPS, Config
from jointdec.problems import find, ships
from jointdec.sweeping.points import Point, override_of
from jointdec.tracking.uri import hide_credentials


def best_trials(study: Study, count: int) -> list[FrozenTrial]:
    """The best complete trials, the best first; of several objectives all trials that no other one dominates."""
    if len(study.directions) > 1:
        return sorted(study.best_trials, key=lambda trial: trial.values[0])
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    down = study.direction == StudyDirection.MINIMIZE
    return sorted(complete, key=lambda trial: trial.values[0] if down else -trial.values[0])[:count]


def overrides_of(fixed: Sequence[str], point: Point) -> list[str]:
    """What one would type to train a point; a group's choice stands before the values in it."""
    return [*fixed, *(override_of(key, value) for key, value in point.items())]


def run_command(fixed: Sequence[str], point: Point) -> str:
    """The command that trains a point, for everybody to see: credentials are struck out."""
    return shlex.join(["python", "-m", "jointdec.run", *map(hide_credentials, overrides_of(fixed, point))])


def experiment_file(config: Config, command: str) -> str:
    """A file for conf/experiment, or for a folder given with ``--config-dir``, that trains a configuration."""
    values: dict[str, Any] = asdict(config)
    del values["tracking"]  # where to record is for the one to decide who runs it
    for group in ("model", "loss"):
        if values[group].get("specimen", ...) is None:
            del values[group]["specimen"]
    groups = [*GROUPS]
    if find(config.problem).groups() is None:
        groups += ["data", "model"]
    defaults = [{f"override /{group}": values[group]["name"]} for group in groups if group in values]
    if ships(config.problem):
        defaults.append({"override /problem": config.problem})
    else:
        del values["problem"]  # the command line names it: python -m jointdec.run +experiment=best problem=house.py
    text = OmegaConf.to_yaml(OmegaConf.create({"defaults": defaults, **values}))
    return f"# @package _global_\n# {command}\n{text}"
