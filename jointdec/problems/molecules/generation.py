"""Are generated graphs molecules, different ones, and new ones?

Papers define these shares differently, so their numbers are not comparable as they stand: MolGAN (De Cao &
Kipf 2018) lets a valid molecule fall into several fragments ('.' in its SMILES), SCAT (Zou & Lerman 2018)
looks at connected graphs alone and counts duplicates as novel. Here '.' is allowed as in MolGAN, every share
keeps its own denominator, and the share of connected molecules stands beside them, as does SCAT's validity.

The labels hold no charges. A charged molecule of the training set is therefore known by its uncharged graph,
and 139 of QM9's own 130,831 (nitro groups and the like) are not valid by this measure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rdkit import Chem, rdBase

from jointdec.problems.molecules.reconstruction import UPPER, pairs
from jointdec.problems.molecules.sizes import NODES
from jointdec.problems.molecules.smiles import to_molecule

Labels = npt.NDArray[np.uint8]
NONE = 4
SHARES = ("validity", "uniqueness", "novelty", "connected", "connected_validity")
BRACKET = re.compile(r"\[(?!nH\])")  # an atom with a charge or the like; [nH] has none


@dataclass(frozen=True)
class Generated:
    """What n decoded graphs are worth.

    Shares of nothing are NaN, not 0: where no graph is valid, or none is connected.

    Attributes:
        validity: share of all n graphs that RDKit sanitises and that have an atom.
        uniqueness: distinct canonical SMILES / valid molecules.
        novelty: share of the distinct valid molecules that are not in the training set.
        connected: share of the valid molecules that are in one piece.
        connected_validity: share of the graphs in one piece that RDKit sanitises, SCAT's validity.
        counts: how often each distinct valid molecule (non-isomeric canonical SMILES) was generated, the most
            frequent first, then by name.
    """

    validity: float
    uniqueness: float
    novelty: float
    connected: float
    connected_validity: float
    counts: dict[str, int]

    @property
    def metrics(self) -> dict[str, float]:
        """The shares by name."""
        return {name: getattr(self, name) for name in SHARES}


def generation(nodes: Labels, edges: Labels, training_smiles: Collection[str]) -> Generated:
    """Judge decoded graphs as molecules.

    Args:
        nodes: atom classes (n, 9).
        edges: bond classes (n, 9, 9), of which the strict upper triangle is read.
        training_smiles: non-isomeric canonical SMILES of the training split, as `Split.smiles` has them.

    Raises:
        ValueError: there is no graph.
    """
    if len(nodes) == 0:
        raise ValueError("The shares of 0 generated graphs are not defined.")
    counts: Counter[str] = Counter()
    in_one_piece = 0
    for smiles, whole, count in _distinct(nodes, edges):
        in_one_piece += count * whole
        if smiles is not None:
            counts[smiles] += count
    known = {smiles if not BRACKET.search(smiles) else _without_charges(smiles) for smiles in training_smiles}
    valid = counts.total()
    valid_and_whole = sum(count for smiles, count in counts.items() if "." not in smiles)
    return Generated(
        validity=valid / len(nodes),
        uniqueness=_share(len(counts), valid),
        novelty=_share(len(counts.keys() - known), len(counts)),
        connected=_share(valid_and_whole, valid),
        connected_validity=_share(valid_and_whole, in_one_piece),
        counts=dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    )


def canonical_smiles(nodes: Labels, edges: Labels) -> str | None:
    """Non-isomeric canonical SMILES of one graph, (9,) and (9, 9); None if it is empty or not a molecule."""
    return _canonical_smiles(to_molecule(nodes, edges))


def _canonical_smiles(molecule: Any) -> str | None:  # noqa: ANN401 (RDKit has no types)
    with rdBase.BlockLogs():  # RDKit prints a line for every atom with too many bonds
        if Chem.SanitizeMol(molecule, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return None
    return Chem.MolToSmiles(molecule, isomericSmiles=False) or None


def _without_charges(smiles: str) -> str | None:
    """Canonical SMILES of the graph that the labels of this molecule hold; None if that is no molecule."""
    molecule = Chem.MolFromSmiles(smiles)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    for atom in molecule.GetAtoms():
        atom.SetFormalCharge(0)
        atom.SetNumRadicalElectrons(0)
        atom.SetNumExplicitHs(0)
        atom.SetNoImplicit(False)
    return _canonical_smiles(molecule)


def connected(nodes: Labels, edges: Labels) -> npt.NDArray[np.bool_]:
    """Whether each graph, (n, 9) and (n, 9, 9), of which the strict upper triangle is read, is in one piece: (n,).

    A graph without an atom is not.
    """
    atoms = nodes != NONE
    both = atoms[:, :, None] & atoms[:, None, :]
    bonds = np.triu(edges, 1) > 0
    reached = ((bonds | bonds.transpose(0, 2, 1)) & both) | np.eye(NODES, dtype=bool)
    for _ in range(3):  # paths of at most 2, 4, 8 bonds
        reached = reached @ reached
    whole: npt.NDArray[np.bool_] = (reached | ~both).all((1, 2)) & atoms.any(1)
    return whole


def _distinct(nodes: Labels, edges: Labels) -> list[tuple[str | None, bool, int]]:
    """SMILES (None if not valid), whether it is in one piece, and count of each distinct graph.

    RDKit takes all the time, so it sees each graph once.
    """
    rows = np.concatenate([nodes, _without_dangling(nodes, pairs(edges))], axis=1)
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    graphs = np.zeros((len(distinct), NODES, NODES), np.uint8)
    graphs[:, *UPPER] = distinct[:, NODES:]
    named = (canonical_smiles(row[:NODES], graph) for row, graph in zip(distinct, graphs, strict=True))
    whole = connected(distinct[:, :NODES], graphs)
    return [(smiles, bool(one), int(count)) for smiles, one, count in zip(named, whole, counts, strict=True)]


def _without_dangling(nodes: Labels, bonds: Labels) -> Labels:
    """The (n, 36) bonds, 0 where one end is no atom: they do not tell two graphs apart."""
    rows, columns = UPPER
    return np.where((nodes[:, rows] == NONE) | (nodes[:, columns] == NONE), np.uint8(0), bonds)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
