"""What a command line of ``jointdec.sweep`` asks for, checked before anything is opened or trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jointdec.config import Config, DataConfig
from jointdec.errors import UserError
from jointdec.problems import find
from jointdec.sweeping.points import Points, take_apart
from jointdec.sweeping.settings import SweepConfig, parse_settings
from jointdec.sweeping.space import Space, corners, grid, make_space, refuse_moving_target
from jointdec.sweeping.storage import storage_uri


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
