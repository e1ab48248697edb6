"""The decoder's Dense layers as data, so that Keras and plain TensorFlow build the same network.

    features (B, 135) -> trunk -> tower -> node logits (B, 9, 5)
                               -> tower -> X (B, 9, 4, 15) -> Gram X_c X_c^T (B, 4, 9, 9) [-> Dense 324]
                                        -> edge logits (B, 9, 9, 4)

A LeakyReLU follows every Dense, the logits included, and the Gram product where no Dense 324 does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jointdec.problems.molecules.config import ModelConfig
from jointdec.problems.molecules.sizes import EDGE_CLASSES, FEATURES, NODE_CLASSES, NODES

GRAM_WIDTH = 15
Weights = dict[str, npt.NDArray[np.floating]]


@dataclass(frozen=True)
class Dense:
    """One Dense layer: its name and its widths."""

    name: str
    inputs: int
    units: int


@dataclass(frozen=True)
class Architecture:
    """The Dense layers of a decoder in the order of the data's way through it; ``mixing`` may be None."""

    trunk: tuple[Dense, ...]
    nodes: tuple[Dense, ...]
    edges: tuple[Dense, ...]
    mixing: Dense | None

    @property
    def layers(self) -> tuple[Dense, ...]:
        """All Dense layers in their canonical order."""
        return self.trunk + self.nodes + self.edges + ((self.mixing,) if self.mixing else ())


def architecture(config: ModelConfig) -> Architecture:
    """The layers that a model configuration stands for."""
    trunk = _chain("trunk", FEATURES, config.trunk)
    width = config.trunk[-1] if config.trunk else FEATURES
    gram_size = EDGE_CLASSES * NODES * NODES
    return Architecture(
        trunk=trunk,
        nodes=_chain("nodes", width, [*config.tower, NODES * NODE_CLASSES]),
        edges=_chain("edges", width, [*config.tower, NODES * EDGE_CLASSES * GRAM_WIDTH]),
        mixing=Dense("edges_mixing", gram_size, gram_size) if config.mixing else None,
    )


def _chain(prefix: str, inputs: int, widths: list[int]) -> tuple[Dense, ...]:
    starts = [inputs, *widths]
    return tuple(Dense(f"{prefix}_{i + 1}", starts[i], units) for i, units in enumerate(widths))


def initial_weights(config: ModelConfig, seed: int) -> Weights:
    """Random kernels and zero biases, float64, a pure function of the architecture and the seed.

    Drawn here rather than by a framework, so that every formulation on every backend starts from the same
    numbers. ``model.initializer`` says how:

    - glorot_normal: variance 2 / (in + out), a normal truncated at two standard deviations, as Keras's
      ``glorot_normal`` is (Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
      networks");
    - glorot_uniform: the same variance, uniform, Keras's default (the same, equation 16);
    - he_normal: variance 2 / in, a normal that is not truncated (He et al. 2015, "Delving deep into rectifiers",
      equation 10), as SCAT has it.

    Returns:
        ``{"nodes_1/kernel": (in, out), "nodes_1/bias": (out,), ...}`` in canonical order.
    """
    rng = np.random.default_rng([seed, 0x1417])  # a stream of its own, apart from batch order and generation
    weights: Weights = {}
    for dense in architecture(config).layers:
        weights[f"{dense.name}/kernel"] = DRAWN[config.initializer](rng, dense)
        weights[f"{dense.name}/bias"] = np.zeros(dense.units)
    return weights


Kernel = npt.NDArray[np.float64]
TRUNCATED_STD = 0.87962566103423978  # standard deviation of N(0, 1) truncated to [-2, 2]


def _glorot_normal(rng: np.random.Generator, dense: Dense) -> Kernel:
    std = np.sqrt(2 / (dense.inputs + dense.units)) / TRUNCATED_STD
    kernel: Kernel = std * _truncated_normal(rng, (dense.inputs, dense.units))
    return kernel


def _glorot_uniform(rng: np.random.Generator, dense: Dense) -> Kernel:
    limit = np.sqrt(6 / (dense.inputs + dense.units))
    return rng.uniform(-limit, limit, (dense.inputs, dense.units))


def _he_normal(rng: np.random.Generator, dense: Dense) -> Kernel:
    kernel: Kernel = np.sqrt(2 / dense.inputs) * rng.standard_normal((dense.inputs, dense.units))
    return kernel


DRAWN = {"glorot_normal": _glorot_normal, "glorot_uniform": _glorot_uniform, "he_normal": _he_normal}


def _truncated_normal(rng: np.random.Generator, shape: tuple[int, int]) -> Kernel:
    values = rng.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():
        values[outside] = rng.standard_normal(int(outside.sum()))
    return values
