"""A run that is recorded in MLflow, read back: its configuration, its artifacts, and what it ran on.

A record is data, not code: a configuration from it passes the same checks as one from the command line, and so can
name only jointdec's own components; it may hold no interpolation, which could read this machine's environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jointdec.command import one_sentence
from jointdec.config import GROUPS, Config, conf_folder, leaves, parse
from jointdec.errors import UserError, did_you_mean
from jointdec.problems import DEFAULT, find, ships
from jointdec.problems.compose import PREFIX, spec_of
from jointdec.tracking.environment import device, packages
from jointdec.tracking.records import added
from jointdec.tracking.store import connect
from jointdec.tracking.uri import hide_credentials

KEPT_BY_OPTION = ("name", "specimen")  # what a group's new option decides; the rest stays as it was recorded
MATTER = ("tensorflow", "keras", "numpy", "jointdec")  # versions that may change the last bits


@dataclass(frozen=True)
class Recorded:
    """A run in MLflow.

    Attributes:
        run_id: MLflow's id.
        tags: all of them.
        artifacts: a folder with copies of those that were asked for; one that the run lacks is missing.
    """

    run_id: str
    tags: Mapping[str, str]
    artifacts: Path

    @property
    def config_text(self) -> str:
        """The configuration, as YAML.

        Raises:
            UserError: the run has none.
        """
        file = self.artifacts / "config/config.yaml"
        if not file.is_file():
            raise UserError(
                f"Run {self.run_id} has no artifact config/config.yaml, so no command of jointdec's made it."
            )
        return file.read_text(encoding="utf-8")

    def differences(self, accelerators: Sequence[str]) -> list[str]:
        """What is not as it was: device, and versions of packages that may change the last bits."""
        told = self.artifacts / "environment"
        then = set((told / "packages.txt").read_text().split()) if (told / "packages.txt").is_file() else set()
        now = set(packages().split())
        changed = sorted(line for line in then - now if line.partition("==")[0].lower() in MATTER)
        found = [f"{line} then, {_version(line, now)} now" for line in changed]
        if (told / "device.json").is_file():
            old, new = json.loads((told / "device.json").read_text()), device(accelerators)
            found += [
                f"{key} {old[key]!r} then, {new[key]!r} now" for key in ("cpu", "accelerators") if old[key] != new[key]
            ]
        return found


def read_run(uri: str, run_id: str, folder: Path) -> Recorded:
    """Fetch what a replay needs into a folder.

    Args:
        uri: an absolute tracking URI.
        run_id: MLflow's id of the run.
        folder: an empty folder.

    Raises:
        UserError: the store does not answer, or has no such run.
    """
    client = connect(uri)
    try:
        run = client.get_run(run_id)
        for path in ("config", "environment", "divergence", "curves.npz"):
            if _has(client, run_id, path):
                client.download_artifacts(run_id, path, str(folder))
    except MlflowException as error:
        where = hide_credentials(uri)
        raise UserError(
            f"There is no run {run_id!r} in {where} ({str(error).splitlines()[0].rstrip('.')}): take the id from the "
            "last line of a run or from MLflow's page, and name another store with tracking.uri=..."
        ) from error
    return Recorded(run_id, run.data.tags, folder)


def recorded_config(text: str, overrides: Sequence[str]) -> Config:
    """The configuration of a record with overrides on top.

    ``GROUP=OPTION`` changes a group to another option and keeps the recorded values that both options have.

    Raises:
        UserError: the record or the overrides are not what jointdec knows.
    """
    try:
        recorded = OmegaConf.create(text)
    except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"The recorded configuration cannot be read ({problem}).") from error
    try:
        parsed = OverridesParser.create().parse_overrides([text for text in overrides if not text.startswith(PREFIX)])
    except HydraException as error:
        raise UserError(one_sentence(error)) from error
    if not isinstance(recorded, DictConfig):
        raise UserError("The recorded configuration is no mapping of keys to values.")
    values: dict[str, Any] = OmegaConf.to_container(recorded, resolve=False)  # type: ignore[assignment]  # str keys
    _refuse_interpolations("", values)
    _take_problem(values, overrides)
    if isinstance(values.get("data"), dict) and "cache" in values["data"]:  # a record does not say where to write
        values["data"]["cache"] = _option("data", "qm9")["cache"]
    problem = str(values.setdefault("problem", DEFAULT))
    if isinstance(values.get("loss"), dict):
        values["loss"].setdefault("terms", {})
    for key, value in added(problem).items():
        group, _, name = key.partition(".")
        if isinstance(values.get(group), dict):
            values[group].setdefault(name, value)
    for override in parsed:
        key, value = override.key_or_group, override.value()
        if override.is_sweep_override() or override.is_delete() or override.is_add():
            raise UserError(f"{override.input_line}: a replay takes only KEY=VALUE and GROUP=OPTION.")
        if key in (*GROUPS, "data"):
            values[key] = _switched(key, str(value), values.get(key))
        else:
            _set(values, key, value)
    try:
        return parse(OmegaConf.create(values))
    except OmegaConfBaseException as error:
        raise UserError(one_sentence(error)) from error


def _take_problem(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """A record runs nobody's code by itself: a problem of the user's has to be named again.

    Raises:
        UserError: it was not, or it is another problem.
    """
    recorded = str(values.get("problem", DEFAULT))
    named = [spec_of(text) for text in overrides if text.startswith(PREFIX)]
    if named and ships(recorded) and named[-1] != recorded:
        raise UserError(f"The run is of problem={recorded}, and cannot be taken again with problem={named[-1]}.")
    if not ships(recorded):
        if not named:
            raise UserError(f"The run is of problem={recorded}, your own code: name it again, with problem={recorded}")
        values["problem"] = named[-1]
        for group in ("data", "model"):  # the file may be called otherwise by now
            if isinstance(values.get(group), dict):
                values[group]["name"] = find(named[-1]).name


def _switched(group: str, option: str, recorded: Any) -> dict[str, Any]:  # noqa: ANN401 (any YAML)
    options = sorted(file.stem for file in (conf_folder() / group).glob("*.yaml"))
    if option not in options:
        known = ", ".join(options)
        raise UserError(f"There is no option {group}={option}{did_you_mean(option, options)}; the options are {known}.")
    new = _option(group, option)
    kept = recorded if isinstance(recorded, dict) else {}
    heads = ("weights", "terms")  # are the problem's, whatever the option
    return new | {key: value for key, value in kept.items() if key in (*new, *heads) and key not in KEPT_BY_OPTION}


def _option(group: str, option: str) -> dict[str, Any]:
    loaded = OmegaConf.to_container(OmegaConf.load(conf_folder() / group / f"{option}.yaml"))
    assert isinstance(loaded, dict)
    return {str(key): value for key, value in loaded.items()}


def _set(values: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401 (any YAML)
    *path, last = key.split(".")
    place: Any = values
    for part in path:
        place = place.get(part) if isinstance(place, dict) else None
    if not isinstance(place, dict) or last not in place:
        known = [name for name, _ in leaves("", values)]
        raise UserError(f"There is no key {key!r} in the recorded configuration{did_you_mean(key, known)}.")
    place[last] = value


def _refuse_interpolations(key: str, value: Any) -> None:  # noqa: ANN401 (any YAML)
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_interpolations(f"{key}.{name}".strip("."), item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_interpolations(f"{key}[{number}]", item)
    elif isinstance(value, str) and "${" in value:
        raise UserError(f"The recorded configuration has {key}={value!r}: a record may hold no interpolation.")


def _version(line: str, installed: set[str]) -> str:
    name = line.partition("==")[0]
    return next((other for other in installed if other.partition("==")[0] == name), f"no {name}")


def _has(client: MlflowClient, run_id: str, path: str) -> bool:
    return any(found.path == path for found in client.list_artifacts(run_id))
