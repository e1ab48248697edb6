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
