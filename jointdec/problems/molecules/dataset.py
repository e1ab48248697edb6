"""Molecules as a data set: features, atoms and bonds, and the Gaussian that new features are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.dataset import Array, Dataset, Split
from jointdec.labels import checked, fitted
from jointdec.problem import Head
from jointdec.problems.molecules.sizes import CLASSES, EDGE_CLASSES, FEATURES, NODE_CLASSES, NODES, RANKS

SHAPES = {"nodes": (NODES, NODE_CLASSES), "edges": (NODES, NODES, EDGE_CLASSES)}
HEADS = {head: Head("distribution") for head in SHAPES}


@dataclass(frozen=True, eq=False)
class MoleculeDataset(Dataset):
    """Data of the molecules' problem.

    Attributes:
        sample_features: ``(n, rng) -> (n, 135) float32`` draws features from the Gaussian that the encoder
            maps molecules to; None when the data are no molecules.
    """

    sample_features: Callable[[int, np.random.Generator], npt.NDArray[np.float32]] | None = None

    @property
    def is_molecules(self) -> bool:
        """Whether decoded outputs can be read as molecules."""
        return self.sample_features is not None


def molecules_split(features: Array, nodes: Array, edges: Array, smiles: tuple[str, ...] = ()) -> Split:
    """A split of n molecules.

    Args:
        features: (n, 135) float32.
        nodes: (n, 9) uint8 class indices, or (n, 9, 5) float32 when the labels are no classes.
        edges: (n, 9, 9) uint8 class indices, or (n, 9, 9, 4) float32.
        smiles: the n canonical SMILES; empty when the data are no molecules.
    """
    return Split(features, {"nodes": nodes, "edges": edges}, {}, smiles)


def require_usable(split: Split, where: str) -> Split:
    """The split, if its shapes, numbers and classes are a molecule's.

    Raises:
        BadProblem: they are not.
    """
    from jointdec.errors import BadProblem

    x: Any = split.x
    if x.ndim != 2 or x.shape[1] != FEATURES:
        raise BadProblem(f"features of {where} has the shape {x.shape}, but must have {(len(x), FEATURES)}.")
    return fitted(checked(split, HEADS, where), HEADS, SHAPES, where)


def dense_labels(split: Split) -> dict[str, npt.NDArray[np.float32]]:
    """Labels as distributions over the classes: nodes (n, 9, 5) and edges (n, 9, 9, 4), float32."""
    return {
        head: (array if array.ndim == RANKS[head] else np.eye(CLASSES[head])[array]).astype(np.float32, copy=False)
        for head, array in split.y.items()
    }
