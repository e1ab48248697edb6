"""What every data source delivers: encoded splits, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

NODES = 9
NODE_CLASSES = 5
EDGE_CLASSES = 4
FEATURES = 135


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set.

    Attributes:
        features: (n, 135) float32.
        nodes: node labels, (n, 9) uint8 class indices, or (n, 9, 5) float32 when the labels are no classes.
        edges: edge labels, (n, 9, 9) uint8 class indices, or (n, 9, 9, 4) float32.
        smiles: the n canonical SMILES; empty when the data are no molecules.
    """

    features: npt.NDArray[np.float32]
    nodes: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    edges: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    smiles: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.features)

    def rows(self, indices: npt.NDArray[np.integer]) -> Split:
        """These rows alone, in this order."""
        smiles = tuple(self.smiles[row] for row in indices) if self.smiles else ()
        return Split(self.features[indices], self.nodes[indices], self.edges[indices], smiles)


@dataclass(frozen=True)
class Skipped:
    """A record of the source that could not be used: its line (1-based), its text, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, eq=False)  # arrays have no truth value; equal digests mean equal data
class Dataset:
    """Encoded data, ready to train on.

    Attributes:
        name: the configuration's name for it (molecules, qm9, gaussian, arrays).
        source: where the records came from, for people.
        train, val, test: the fixed splits.
        skipped: the records that did not fit.
        sample_features: ``(n, rng) -> (n, 135) float32`` draws features from the Gaussian that the encoder
            maps molecules to; None when the data are no molecules.
        label_warning: what is wrong with labels that are no distributions and are trained on all the same, see
            `jointdec.labels`; None when they are distributions.
    """

    name: str
    source: str
    train: Split
    val: Split
    test: Split
    skipped: tuple[Skipped, ...] = ()
    sample_features: Callable[[int, np.random.Generator], npt.NDArray[np.float32]] | None = None
    label_warning: str | None = None

    @property
    def is_molecules(self) -> bool:
        """Whether decoded outputs can be read as molecules."""
        return self.sample_features is not None

    @cached_property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) over the splits' arrays: equal digests mean equal training data."""
        sha = hashlib.sha256()
        for split in (self.train, self.val, self.test):
            for array in (split.features, split.nodes, split.edges):
                sha.update(f"{array.dtype}{array.shape}".encode())
                sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()[:16]
