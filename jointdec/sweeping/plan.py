"""What a command line of ``jointdec.sweep`` asks for, ``sweep.…`` too, checked before anything is opened or trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from jointdec.config import Config, DataConfig, Limits, typed
from jointdec.errors import UserError, did_you_mean
from jointdec.problem import Problem
from jointdec.problems import find
from jointdec.reporting.names import higher_is_better
from jointdec.sweeping.points import Points, take_apart
from jointdec.sweeping.space import Space, corners, grid, make_space, refuse_moving_target
from jointdec.sweeping.storage import storage_uri

SCALARS_ALLOWED = ("objective", "direction", "penalty")  # of the keys that hold lists


@dataclass
class SweepConfig:
    """The keys of conf/sweep/default.yaml; after `parse_settings` directions and the pruner are decided."""

    name: str | None
    n_trials: Annotated[int, Limits(at_least=1)]
    workers: Annotated[int, Limits(at_least=1)]
    storage: str | None
    objective: list[str]
    direction: Annotated[list[str], Limits(one_of=("minimize", "maximize"))]
    sampler: Annotated[str, Limits(one_of=("tpe", "random", "grid"))]
    pruner: Annotated[str, Limits(one_of=("auto", "hyperband", "median", "none"))]
    penalty: list[float]

    @property
    def goals(self) -> str:
        """Directions and objectives in words."""
        return ", ".join(f"{to} {name}" for to, name in zip(self.direction, self.objective, strict=True))


def epoch_metrics(problem: Problem) -> tuple[str, ...]:
    """The metrics that each epoch has."""
    losses = ("loss", *problem.heads, *problem.terms)
    return (
        *(f"train/{name}" for name in losses),
        *(f"val/{name}" for name in (*losses, *problem.metric_names)),
        "time/ms_per_step",
    )


def parse_settings(values: dict[str, Any], problem: Problem) -> SweepConfig:
    """The checked settings; without an objective the problem's last metric, or its validation loss.

    Raises:
        UserError: an unknown key, a wrong value, an objective that nothing records, a pruner that cannot prune.
    """
    if values.get("objective") is None:
        values = values | {"objective": default_objective(problem)}
    lists = {key: [values[key]] for key in SCALARS_ALLOWED if key in values and not isinstance(values[key], list)}
    settings: SweepConfig = typed("sweep", SweepConfig, values | lists)
    _check_objectives(settings.objective, problem)
    for key in ("direction", "penalty"):
        given = getattr(settings, key)
        if given and len(given) != len(settings.objective):
            raise UserError(
                f"sweep.{key} has {len(given)} entries, but sweep.objective has {len(settings.objective)}: "
                "give one for each."
            )
    settings.direction = settings.direction or [
        "maximize" if higher_is_better(name) else "minimize" for name in settings.objective
    ]
    prunable = len(settings.objective) == 1 and settings.objective[0] in epoch_metrics(problem)
    if settings.pruner == "auto":
        settings.pruner = "hyperband" if prunable and settings.sampler != "grid" else "none"
    if settings.pruner != "none" and not prunable:
        raise UserError(
            f"sweep.pruner={settings.pruner} needs one objective that is known after every epoch, but sweep.objective "
            f"is {', '.join(settings.objective)}: use sweep.pruner=none."
        )
    return settings


def default_objective(problem: Problem) -> str:
    """The metric that is reported last, as whether all heads are right; without one the validation loss."""
    return f"val/{problem.metric_names[-1] if problem.metric_names else 'loss'}"


def _check_objectives(objectives: list[str], problem: Problem) -> None:
    known = [*epoch_metrics(problem), *problem.final_metrics]
    if not objectives:
        raise UserError(f"sweep.objective is empty: name one or more of {', '.join(known)}.")
    for name in objectives:
        if name.startswith("test/"):
            raise UserError(
                f"sweep.objective is {name!r}, but what was chosen by the test split is not tested by it any more: use "
                f"{name.replace('test/', 'val/')}."
            )
        if name not in known and not (problem.judge and name.startswith("judge/")):
            raise UserError(
                f"sweep.objective is {name!r}, which no trial records{did_you_mean(name, known)}; allowed are "
                f"{', '.join(known)}."
            )
    if len(set(objectives)) < len(objectives):
        raise UserError(f"sweep.objective names a metric twice: {', '.join(objectives)}.")


@dataclass(frozen=True)
class Plan:
    """A study to be.

    Attributes:
        name: the study's.
        folder: its, ``sweeps/NAME``.
        settings: the checked group ``sweep``.
        storage: where it is kept, see `jointdec.sweeping.storage`.
        space: what is searched.
        fixed: the overrides that all trials share.
        base: one configuration of the study, always the same.
        epochs: the most that a trial may have.
        data: the data that trials may train on.
    """

    name: str
    folder: Path
    settings: SweepConfig
    storage: str
    space: Space
    fixed: Sequence[str]
    base: Config
    epochs: int
    data: Sequence[DataConfig]


def make_plan(overrides: Sequence[str]) -> Plan:
    """Take a command line apart and check all that can be checked without opening anything.

    Raises:
        UserError: it cannot be done as asked for.
    """
    request = take_apart(overrides)
    settings = parse_settings(request.settings, find(request.problem))
    configure = Points(request.fixed)
    space = make_space(request.searched, configure)
    refuse_moving_target(settings.objective, space)
    if settings.sampler == "grid":
        grid(space)
    configs = corners(space, configure)
    for config in configs:
        if config.specimen and "error" in config.specimen.expects:
            raise UserError(
                f"loss={config.loss.name}, model={config.model.name} is a specimen that only raises an error: "
                "there is nothing to search in it; python -m jointdec.run shows the error."
            )
    name = settings.name or request.name.replace("/", "-")
    if not re.fullmatch(r"\w[\w.+-]*", name):
        raise UserError(
            f"sweep.name is {name!r}, but must be made of letters, digits, '.', '_', '+', '-' and begin with a letter."
        )
    folder = Path("sweeps", name)
    return Plan(
        name,
        folder,
        settings,
        storage_uri(settings.storage, folder),
        space,
        request.fixed,
        base=configs[0],
        epochs=max(config.training.epochs for config in configs),
        data=list({repr(config.data): config.data for config in configs}.values()),
    )
