"""The keys of ``jointdec.compare``, checked before the tracking store is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from jointdec import problems
from jointdec.config import TrackingConfig, conf_folder, typed
from jointdec.errors import UserError, did_you_mean

TEXTS = ("filter", "baseline", "multirun", "output")  # taken as typed: they may hold what means something to Hydra
ALIASES = {problems.DEFAULT: "pictures"}  # when there was one problem alone, its pictures had its name
MULTIRUN = Path("multirun")  # where python -m jointdec.run -m leaves its folders, see conf/config.yaml
LAST = "last"
STORE = ("tracking.uri", "tracking.experiment")


class Target(NamedTuple):
    """A value of a metric of the validation split, as ``val/mass_mae:0.2``."""

    metric: str
    value: float


@dataclass
class CompareConfig:
    """The keys of conf/compare/default.yaml."""

    by: list[str]
    runs: list[str]
    multirun: str | None
    filter: str
    baseline: str | None
    metrics: list[str]
    target: str | None
    allow: list[str]
    pictures: list[str]
    output: str | None

    @property
    def goal(self) -> Target | None:
        """``target`` taken apart.

        Raises:
            UserError: it is not METRIC:VALUE with a metric of the validation split.
        """
        if self.target is None:
            return None
        metric, _, value = self.target.partition(":")
        try:
            number = float(value)
        except ValueError:
            number = None
        if number is None or not re.fullmatch(r"(val|train)/.+", metric):
            raise UserError(
                f"target is {self.target!r}, but must be a metric that every epoch has and a number, as val/loss:0.2."
            )
        return Target(metric, number)


class Request(NamedTuple):
    """What a command line asks for; ``settings.runs`` are those of a multirun, too."""

    settings: CompareConfig
    uri: str | None
    experiment: str


def parse_request(overrides: Sequence[str]) -> Request:
    """The checked keys.

    Raises:
        UserError: a key that does not exist, a value that it cannot have, or no multirun where one is named.
    """
    values = _load("compare/default.yaml")
    store = _load("tracking/mlflow.yaml")
    texts = [override for override in overrides if override.partition("=")[0] in TEXTS and "=" in override]
    try:
        parsed = OverridesParser.create().parse_overrides([one for one in overrides if one not in texts])
    except HydraException as error:
        first = str(error).strip().splitlines()[0].rstrip(".")
        raise UserError(f"{first}: arguments are KEY=VALUE, see --help; quote what the shell would take.") from error
    for text in texts:
        key, _, values[key] = text.partition("=")
    for override in parsed:
        key, value = ALIASES.get(override.key_or_group, override.key_or_group), override.value()
        if override.is_sweep_override() or override.is_add() or override.is_delete():
            raise UserError(f"{override.input_line}: give it as KEY=VALUE, and several values as [a,b].")
        if key in STORE:
            store[key.partition(".")[2]] = value
        elif key in values:
            values[key] = [value] if isinstance(values[key], list) and not isinstance(value, list) else value
        else:
            known = [*values, *STORE]
            raise UserError(f"There is no key {key!r}{did_you_mean(key, known)}; known here: {', '.join(known)}.")
    values = {k: [str(item) for item in v] if isinstance(v, list) else v for k, v in values.items()}
    settings: CompareConfig = typed("", CompareConfig, values)
    tracking: TrackingConfig = typed("tracking", TrackingConfig, store)
    if settings.runs and settings.multirun:
        raise UserError("runs and multirun both say which runs to compare: give one of them.")
    if not settings.by:
        raise UserError("by is empty: name the configuration keys that make the groups, as by=loss or by=[model,loss].")
    settings.goal  # noqa: B018 (refuses a target that is none)
    if settings.multirun:
        settings.runs = multirun_ids(settings.multirun)
    return Request(settings, tracking.uri, tracking.experiment)


def _load(file: str) -> dict[str, Any]:
    loaded = OmegaConf.to_container(cast(DictConfig, OmegaConf.load(conf_folder() / file)))
    return cast(dict[str, Any], loaded)


def multirun_ids(multirun: str) -> list[str]:
    """Ids of the runs of one ``python -m jointdec.run -m``.

    Args:
        multirun: its folder, or ``last`` for the latest in ./multirun.

    Raises:
        UserError: there is no such folder, or no run of it has left a summary.json with an id.
    """
    folder = _latest() if multirun == LAST else Path(multirun)
    if not folder.is_dir():
        raise UserError(
            f"multirun is {multirun!r}, but there is no such folder: give that of a jointdec.run -m, or last."
        )
    summaries = sorted(folder.glob("*/summary.json"), key=lambda file: (len(file.parent.name), file.parent.name))
    ids = [run_id for file in summaries if (run_id := _run_id(file))]
    if not ids:
        raise UserError(
            f"No run in {folder} has left a summary.json with a run's id: none has ended, or tracking=none."
        )
    return ids


def _run_id(file: Path) -> str | None:
    try:
        run_id: str | None = json.loads(file.read_text())["run_id"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} is no summary of a run of jointdec's: remove it, or name the runs with runs=[...]."
        ) from error
    return run_id


def _latest() -> Path:
    folders = sorted(folder for folder in MULTIRUN.glob("*/*") if folder.is_dir())
    if not folders:
        raise UserError(f"There is no multirun in {MULTIRUN.absolute()}: give its folder with multirun=...")
    return folders[-1]
