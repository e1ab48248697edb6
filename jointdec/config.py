"""The typed configuration: what Hydra composes is checked here, before TensorFlow is imported.

Each group has one dataclass per option that needs its own fields; the option's ``name`` picks it. The YAML
files in ``conf/`` hold the values, the dataclasses hold types and limits.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from jointdec.errors import UserError


def _limited(**limits: Any) -> Any:  # noqa: ANN401 (dataclasses.field is typed as what the field holds)
    """A field with limits: ``at_least``, ``above``, ``below`` or ``one_of``."""
    return field(metadata=limits)


@dataclass
class DataConfig:
    """What every data source has."""

    name: str


@dataclass
class GaussianConfig(DataConfig):
    """R2 of the source: features and "labels" drawn from N(0, 1)."""

    n_train: int = _limited(at_least=1)


@dataclass
class EncodedConfig(DataConfig):
    """Molecules encoded by graph scattering."""

    scattering: str = _limited(one_of=("spectral", "diffusion"))
    normalization: str = _limited(one_of=("whiten", "spherise"))


@dataclass
class MoleculesConfig(EncodedConfig):
    """A file of SMILES: the sample that ships (``path`` null) or the user's own."""

    path: str | None
    column: str


@dataclass
class Qm9Config(EncodedConfig):
    """All of QM9, from the package qm9pack; encoded once, then read from ``cache``."""

    cache: str


@dataclass
class ModelConfig:
    """The decoder. ``trunk`` and ``tower`` are widths of Dense layers, ``mixing`` the Dense 324 on the Gram."""

    name: str
    alpha: float = _limited(at_least=0)
    trunk: list[int] = _limited(at_least=1)
    tower: list[int] = _limited(at_least=1)
    mixing: bool


@dataclass
class WeightsConfig:
    """Weight of each head's loss in the total."""

    nodes: float = _limited(at_least=0)
    edges: float = _limited(at_least=0)


@dataclass
class LossConfig:
    """The formulation."""

    name: str = _limited(one_of=("joint", "split", "tf_native"))
    weights: WeightsConfig


@dataclass
class OptimizerConfig:
    """Adam with epsilon outside the square root ("epsilon hat" of Kingma & Ba 2015, section 2)."""

    name: str = _limited(one_of=("adam",))
    learning_rate: float = _limited(above=0)
    epsilon: float = _limited(at_least=0)


@dataclass
class TrainingConfig:
    """How long, in which batches and precision, and by which loop."""

    name: str = _limited(one_of=("compiled", "fit"))
    epochs: int = _limited(at_least=1)
    batch_size: int = _limited(at_least=1)
    precision: str = _limited(one_of=("float32", "bfloat16", "float16", "float64"))
    jit: bool


@dataclass
class TrackingConfig:
    """Where the run is recorded; ``name=none`` records nowhere but in the output folder."""

    name: str = _limited(one_of=("mlflow", "none"))
    uri: str | None
    experiment: str
    log_model: bool


@dataclass
class Config:
    """A whole configuration."""

    data: DataConfig
    model: ModelConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    tracking: TrackingConfig
    seed: int = _limited(at_least=0)


DATA_CONFIGS: dict[str, type[DataConfig]] = {
    "gaussian": GaussianConfig,
    "molecules": MoleculesConfig,
    "qm9": Qm9Config,
}


def conf_folder() -> Path:
    """The folder of YAML files: inside the package in a wheel, beside it in a checkout.

    Raises:
        FileNotFoundError: neither is there, so the installation is broken.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/config.yaml in {package} or beside it: install jointdec again")


def parse(composed: DictConfig) -> Config:
    """Turn what Hydra composed into a checked `Config`.

    Raises:
        UserError: an unknown key, a value of the wrong type, or one outside its limits.
    """
    name = str(composed.data.get("name"))
    if name not in DATA_CONFIGS:
        raise UserError(f"data.name is {name!r}, but must be one of {', '.join(sorted(DATA_CONFIGS))}.")
    values: Any = OmegaConf.to_container(composed, resolve=True)
    _reject_unknown("", Config, values)
    groups = {}
    for group in fields(Config):
        if group.name == "seed":
            continue
        schema = DATA_CONFIGS[name] if group.name == "data" else GROUPS[group.name]
        groups[group.name] = _typed(group.name, schema, values[group.name])
    config = Config(**groups, seed=_typed("", _Seed, {"seed": values["seed"]}).seed)
    _check_combination(config)
    return config


@dataclass
class _Seed:
    seed: int = _limited(at_least=0)


GROUPS: dict[str, type[Any]] = {
    "loss": LossConfig,
    "model": ModelConfig,
    "optimizer": OptimizerConfig,
    "tracking": TrackingConfig,
    "training": TrainingConfig,
}


def _typed(prefix: str, schema: type[Any], values: dict[str, Any]) -> Any:  # noqa: ANN401 (an instance of schema)
    _reject_unknown(prefix, schema, values)
    try:
        typed = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), values))
    except OmegaConfBaseException as error:
        key = f"{prefix}.{error.full_key or ''}".strip(".")
        first = str(error).splitlines()[0]
        raise UserError(f"{key}: {first.rstrip('.')}; see the allowed values with --help.") from error
    _check_limits(prefix, typed)
    return typed


def _reject_unknown(prefix: str, schema: type[Any], values: dict[str, Any]) -> None:
    known = [f.name for f in fields(schema)]
    for key in values:
        if key not in known:
            dotted = f"{prefix}.{key}".strip(".")
            raise UserError(f"There is no key {dotted!r}{did_you_mean(key, known)}; known here: {', '.join(known)}.")


def did_you_mean(word: str, known: list[str]) -> str:
    """``" (did you mean 'x'?)"`` when a known word is close, else an empty string."""
    close = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _check_limits(prefix: str, typed: Any) -> None:  # noqa: ANN401 (any of the dataclasses above)
    for f in fields(typed):
        key, value = f"{prefix}.{f.name}".strip("."), getattr(typed, f.name)
        if hasattr(value, "__dataclass_fields__"):
            _check_limits(key, value)
            continue
        for item in value if isinstance(value, list) else [value]:
            problem = _problem(item, f.metadata)
            if problem:
                raise UserError(f"{key} is {item!r}, but must be {problem}; set it with {key}=...")


def _problem(value: Any, limits: Any) -> str | None:  # noqa: ANN401 (any scalar; a mapping of limits)
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if "one_of" in limits and value not in limits["one_of"]:
        return "one of " + ", ".join(limits["one_of"])
    if "at_least" in limits and value < limits["at_least"]:
        return f"at least {limits['at_least']}"
    if "above" in limits and value <= limits["above"]:
        return f"above {limits['above']}"
    return None


def _check_combination(config: Config) -> None:
    if config.training.name == "fit" and config.loss.name == "tf_native":
        raise UserError(
            "training=fit is Keras's own loop and loss=tf_native has no Keras in it: "
            "use training=compiled, or loss=joint or loss=split."
        )
