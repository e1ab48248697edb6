"""The texts that describe a run: its configuration as parameters and files, its code, its machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from typing import Any

from omegaconf import OmegaConf

from jointdec.config import GROUPS, Config
from jointdec.tracking.environment import GitState, device, packages
from jointdec.tracking.uri import hide_credentials

ADDED = {  # keys that came later: what records that lack them stand for
    f"{group}.{field.name}": field.default
    for group, schema in GROUPS.items()
    for field in fields(schema)
    if field.default is not MISSING and field.default is not None
}
PARAM_LIMIT = 6000  # characters, MLflow's; config/config.yaml has the whole value


def flat(config: Config) -> dict[str, str]:
    """The configuration as MLflow parameters: dotted keys, values as one would type them as overrides."""
    return {key: spelling(value)[:PARAM_LIMIT] for key, value in leaves("", _public(config))}


def with_added(values: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration, dotted keys, with the keys of `ADDED` where it has their group."""
    groups = {key.partition(".")[0] for key in values}
    return {**{key: value for key, value in ADDED.items() if key.partition(".")[0] in groups}, **values}


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


def machine_files(accelerators: Sequence[str]) -> dict[str, str]:
    """Path in the record -> text, for the machine."""
    return {"environment/device.json": json.dumps(device(accelerators), indent=2)}


def _public(config: Config) -> dict[str, Any]:
    values = asdict(config)
    if config.tracking.uri:
        values["tracking"]["uri"] = hide_credentials(config.tracking.uri)
    return values


def leaves(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys, each behind the prefix, and values."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def spelling(value: Any) -> str:  # noqa: ANN401 (any scalar or list of the configuration)
    """As one would type it as an override."""
    return value if isinstance(value, str) else json.dumps(value)
