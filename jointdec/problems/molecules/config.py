"""The molecules' keys of the configuration: their data and the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from jointdec.config import DataConfig, Limits, SpecimenConfig

INITIALIZERS = ("glorot_normal", "glorot_uniform", "he_normal")


@dataclass
class GaussianConfig(DataConfig):
    """R2 of the source: features and "labels" drawn from N(0, 1)."""

    n_train: Annotated[int, Limits(at_least=1)]


@dataclass
class EncodedConfig(DataConfig):
    """Molecules encoded by graph scattering."""

    scattering: Annotated[str, Limits(one_of=("spectral", "diffusion"))]
    normalization: Annotated[str, Limits(one_of=("whiten", "spherise"))]


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
class ArraysConfig(DataConfig):
    """The user's own features and labels, an ``.npz`` file."""

    path: str | None


@dataclass
class ModelConfig:
    """The decoder.

    ``trunk`` and ``tower`` are widths of Dense layers, ``mixing`` the Dense 324 on the Gram, ``initializer`` how the
    kernels are drawn, see `jointdec.problems.molecules.architecture.initial_weights`.
    """

    name: str
    alpha: Annotated[float, Limits(at_least=0)]
    trunk: Annotated[list[int], Limits(at_least=1)]
    tower: Annotated[list[int], Limits(at_least=1)]
    mixing: bool
    initializer: Annotated[str, Limits(one_of=INITIALIZERS)] = "glorot_normal"  # as in records that lack it
    specimen: SpecimenConfig | None = None


DATA_CONFIGS: dict[str, type[DataConfig]] = {
    "arrays": ArraysConfig,
    "gaussian": GaussianConfig,
    "molecules": MoleculesConfig,
    "qm9": Qm9Config,
}
MODELS = ("two_tower", "scat", "shared_trunk", "two_tower_dot")
