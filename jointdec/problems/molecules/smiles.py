"""SMILES to labels and back: the order of atoms and classes that every split, metric and picture shares.

A molecule's atoms stand in the order of its canonical, non-isomeric SMILES, without hydrogens, padded to 9 at
the end. Aromatic rings are kekulised: the labels know single, double and triple bonds. Charges, radicals,
isotopes and stereochemistry are not in the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rdkit import Chem, rdBase

from jointdec.dataset import Progress, Skipped
from jointdec.problems.molecules.records import Record
from jointdec.problems.molecules.sizes import NODES

Labels = npt.NDArray[np.uint8]

ATOMS = ("C", "O", "N", "F")  # class 4 is "none"
NONE = len(ATOMS)
BONDS = (Chem.BondType.ZERO, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
NODE_CLASS = {symbol: index for index, symbol in enumerate(ATOMS)}
EDGE_CLASS = {bond: index for index, bond in enumerate(BONDS) if index}


class DoesNotFit(ValueError):  # noqa: N818 (an answer to "does it fit?", not a fault)
    """The text is no molecule, or one that the labels cannot hold; the message is the reason."""


class Molecule(NamedTuple):
    """One molecule as labels: canonical SMILES, atom classes (9,) and bond classes (9, 9), symmetric."""

    smiles: str
    nodes: Labels
    edges: Labels


class Molecules(NamedTuple):
    """The records that fit, in the order of the source, and those that do not.

    Attributes:
        smiles: n canonical SMILES; the same one again for every duplicate.
        nodes: atom classes, (n, 9).
        edges: bond classes, (n, 9, 9), symmetric with a diagonal of 0.
        skipped: the records that do not fit.
    """

    smiles: tuple[str, ...]
    nodes: Labels
    edges: Labels
    skipped: tuple[Skipped, ...]


def parse(smiles: str) -> Molecule:
    """Write a molecule as labels.

    Raises:
        DoesNotFit: no SMILES, no atom, more than 9 heavy atoms, an element other than C, O, N and F, or a
            bond that is not single, double, triple or aromatic.
    """
    with rdBase.BlockLogs():
        molecule = _read(smiles)
        _check_atoms(molecule)
        canonical = Chem.MolToSmiles(molecule, isomericSmiles=False)
        molecule = _read(canonical)
        Chem.Kekulize(molecule, clearAromaticFlags=True)
    nodes = np.full(NODES, NONE, np.uint8)
    nodes[: molecule.GetNumAtoms()] = [NODE_CLASS[atom.GetSymbol()] for atom in molecule.GetAtoms()]
    edges = np.zeros((NODES, NODES), np.uint8)
    for bond in molecule.GetBonds():
        kind = bond.GetBondType()
        if kind not in EDGE_CLASS:
            raise DoesNotFit(f"a bond of type {kind.name.lower()} (single, double and triple fit)")
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        edges[i, j] = edges[j, i] = EDGE_CLASS[kind]
    return Molecule(canonical, nodes, edges)


def parse_records(records: Sequence[Record], progress: Progress) -> Molecules:
    """`parse` every record; what does not fit is kept with its line and reason."""
    found: list[Molecule] = []
    skipped: list[Skipped] = []
    for done, record in enumerate(records):
        if done % 1000 == 0:
            progress("Read molecules", done, len(records))
        try:
            found.append(parse(record.text))
        except DoesNotFit as reason:
            skipped.append(Skipped(record.line, record.text, str(reason)))
    progress("Read molecules", len(records), len(records))
    return Molecules(
        smiles=tuple(molecule.smiles for molecule in found),
        nodes=np.array([molecule.nodes for molecule in found], np.uint8).reshape(-1, NODES),
        edges=np.array([molecule.edges for molecule in found], np.uint8).reshape(-1, NODES, NODES),
        skipped=tuple(skipped),
    )


def to_molecule(nodes: Labels, edges: Labels) -> Any:  # noqa: ANN401 (RDKit has no types)
    """The graph that labels describe, as an RDKit molecule that is **not** sanitised: it may be no molecule.

    Args:
        nodes: atom classes (9,); "none" is no atom, so the others move up.
        edges: bond classes (9, 9), of which the strict upper triangle is read; bonds of a "none" are dropped.
    """
    molecule = Chem.RWMol()
    index = {int(node): molecule.AddAtom(Chem.Atom(ATOMS[nodes[node]])) for node in np.flatnonzero(nodes != NONE)}
    for i, j in np.argwhere(np.triu(edges, k=1)):
        if i in index and j in index:
            molecule.AddBond(index[i], index[j], BONDS[edges[i, j]])
    return molecule


def _read(smiles: str) -> Any:  # noqa: ANN401 (RDKit has no types)
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise DoesNotFit("not a valid SMILES")
    return molecule


def _check_atoms(molecule: Any) -> None:  # noqa: ANN401 (RDKit has no types)
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    others = sorted(set(symbols) - NODE_CLASS.keys())
    if not symbols:
        raise DoesNotFit("no atoms")
    if others:
        raise DoesNotFit(f"holds {', '.join(others)} (C, O, N and F fit)")
    if len(symbols) > NODES:
        raise DoesNotFit(f"{len(symbols)} heavy atoms (at most {NODES} fit)")
