"""The texts that describe a run: its configuration as parameters and files, its code, its machine."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from jointdec.config import GROUPS, Config, leaves
from jointdec.problems import DEFAULT, find, ships
from jointdec.tracking.environment import GitState, packages
from jointdec.tracking.uri import hide_credentials

if TYPE_CHECKING:
    from jointdec.tracking.tracker import TrialOf
    from jointdec.training.result import EpochResult


@dataclass(frozen=True)
class NewRun:
    """What is known of a run before it begins.

    Attributes:
        experiment: the name of MLflow's experiment.
        name: the run's.
        tags: besides those of the process and the code.
        params: its settings.
        files: path in the record -> text.
        total_steps: how many steps it will have, once its first epoch is known.
    """

    experiment: str
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    files: Mapping[str, str]
    total_steps: Callable[[EpochResult], int]


def run_of_config(config: Config, folder: Path, overrides: Sequence[str], trial: TrialOf | None) -> NewRun:
    """A run of the commands: the checked configuration, the run's output folder, and what the user typed.

    Args:
        config: recorded as parameters and as config/config.yaml.
        folder: recorded as a tag.
        overrides: recorded as config/overrides.yaml.
        trial: of a sweep, which trial this is: the run is named after its point.
    """
    problem = find(config.problem)
    return NewRun(
        experiment=config.tracking.experiment,
        name=_trial_name(trial) if trial else _run_name(config),
        tags={
            "jointdec.problem": problem.name,
            "jointdec.problem_digest": problem.digest,
            "jointdec.formulation": config.loss.name,
            "jointdec.folder": str(folder.absolute()),
        },
        params=flat(config),
        files=config_files(config, overrides),
        total_steps=lambda first: config.training.epochs * len(first.steps["loss"]),
    )


def _run_name(config: Config) -> str:
    """What tells runs apart first, since MLflow's list cuts long names; hexadecimals keep repetitions apart."""
    return f"{config.loss.name} seed={config.seed} {config.model.name} {config.data.name} {secrets.token_hex(2)}"


def _trial_name(trial: TrialOf) -> str:
    """The values rounded: the parameters have them in full."""
    chosen = (
        f"{key.rpartition('.')[2]}={f'{value:.4g}' if isinstance(value, float) else value}"
        for key, value in trial.point.items()
    )
    return f"trial {trial.number} {' '.join(chosen)}"


def flat(config: Config) -> dict[str, str]:
    """The configuration as MLflow parameters: dotted keys, values as one would type them as overrides."""
    return {key: spelling(value) for key, value in leaves("", _public(config))}


def with_added(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration, dotted keys, with those that came later, where it has their group.

    The parameters of a user's own model, which are no configuration, stay as they are.
    """
    if "loss.name" not in values:
        return dict(values)
    problem = str(values.get("problem", DEFAULT))
    groups = {key.partition(".")[0] for key in values}
    return {"problem": problem, **{k: v for k, v in added(problem).items() if k.partition(".")[0] in groups}, **values}


@cache
def added(problem: str) -> dict[str, Any]:
    """Keys that came later, and what records that lack them stand for."""
    schemas = {**GROUPS, "model": next(iter(find(problem).schemas("model").values()))} if ships(problem) else GROUPS
    return {
        f"{group}.{field.name}": field.default
        for group, schema in schemas.items()
        for field in fields(schema)
        if field.default is not MISSING and field.default is not None
    }


def config_files(config: Config, overrides: Sequence[str]) -> dict[str, str]:
    """Path in the record -> text, for the configuration."""
    return {
        "config/config.yaml": OmegaConf.to_yaml(_public(config)),
        "config/overrides.yaml": OmegaConf.to_yaml([hide_credentials(override) for override in overrides]),
    }


def environment_files(git: GitState | None) -> dict[str, str]:
    """Path in the record -> text, for packages and code."""
    files = {"environment/packages.txt": packages()}
    if git and git.diff:
        files["environment/git.diff"] = git.diff
    return files


def _public(config: Config) -> dict[str, Any]:
    values = asdict(config)
    if config.tracking.uri:
        values["tracking"]["uri"] = hide_credentials(config.tracking.uri)
    return values


def spelling(value: Any) -> str:  # noqa: ANN401 (any scalar or list of the configuration)
    """As one would type it as an override."""
    return value if isinstance(value, str) else json.dumps(value)
