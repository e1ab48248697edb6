"""Random numbers in the place of molecules: features and "labels" drawn from N(0, 1)."""

from __future__ import annotations

import numpy as np

from jointdec.dataset import Split
from jointdec.problems.molecules.config import GaussianConfig
from jointdec.problems.molecules.dataset import MoleculeDataset, molecules_split
from jointdec.problems.molecules.sizes import EDGE_CLASSES, FEATURES, NODE_CLASSES, NODES

SEED = 0  # of the data, not of the run: all runs see the same numbers


def gaussian(config: GaussianConfig) -> MoleculeDataset:
    """``n_train`` training examples, and a tenth as many (at least 1) for validation and for testing.

    Labels are (n, 9, 5) and (n, 9, 9, 4) float32; they are no distributions and the edges are not symmetric.
    """
    held_out = max(1, config.n_train // 10)
    train, val, test = (
        _split(n, np.random.default_rng([SEED, index])) for index, n in enumerate((config.n_train, held_out, held_out))
    )
    return MoleculeDataset(name=config.name, source="numbers drawn from N(0, 1)", train=train, val=val, test=test)


def _split(n: int, rng: np.random.Generator) -> Split:
    return molecules_split(
        features=rng.standard_normal((n, FEATURES), np.float32),
        nodes=rng.standard_normal((n, NODES, NODE_CLASSES), np.float32),
        edges=rng.standard_normal((n, NODES, NODES, EDGE_CLASSES), np.float32),
    )
