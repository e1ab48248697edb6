"""Nine properties of QM9's molecules from counts of their atoms and bonds, and a loss over three heads at once.

Energies are in eV. qm9pack has them, as QM9 itself, in hartree (1 hartree = 27.2114 eV), while most tables of the
literature are in eV or meV: a value that is 27 times too good is this trap. The others are in QM9's units: ``mu`` in
debye, ``alpha`` in bohr^3, ``r2`` in bohr^2, ``cv`` in cal/(mol K).

With ``data.standardise`` every property has the mean 0 of the train split, and its standard deviation 1, but for the
three orbital energies, which share the gap's: so they keep their relation,

    gap = lumo - homo                   in eV, and in standard deviations of the gap

and the term ``gap_is_lumo_minus_homo``, the square of the difference of both sides as predicted, means the same in
both. Without it the variances of ``u0`` and ``homo``, what their losses come down to, are 3 million to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.dataset import Dataset, Split
from jointdec.errors import UserError
from jointdec.problem import Head, Problem

EV = 27.211386245988  # of a hartree, CODATA 2018
COLUMNS = {  # of qm9pack, and what makes the head's unit of it
    "mu": ("Dipole_debye", 1.0),
    "alpha": ("Polarizability_bohr3", 1.0),
    "homo": ("HOMO_au", EV),
    "lumo": ("LUMO_au", EV),
    "gap": ("HOMO_LUMO_gap_au", EV),
    "r2": ("R2_bohr2", 1.0),
    "zpve": ("ZPVE_au", EV),
    "u0": ("InternalEnergy_0K_au", EV),
    "cv": ("Heatcapacity_Cv_cal_mol_K", 1.0),
}
ORBITALS = ("homo", "lumo", "gap")
ELEMENTS = 5  # of qm9pack's column Stoichiometry: H, C, N, O, F
HEAVY = "CNOF"
ORDERS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")
RINGS = 3  # the sizes of rings that are counted: 3, 4, 5 and above
BONDS = [(a, b, order) for i, a in enumerate(HEAVY) for b in HEAVY[i:] for order in ORDERS]
FEATURES = ELEMENTS + len(BONDS) + RINGS
SMALLEST = 10  # rows: one at least for each split
SEED = 0  # of the rows and the splits, not of the run
Floats = npt.NDArray[np.floating]


def data(rows: int = 20_000, standardise: bool = True) -> Dataset:
    """Counts, (n, 48), divided by their largest, and the properties.

    Args:
        rows: so many molecules, drawn from all 130,831 with a fixed seed; a tenth each to validate and to test.
        standardise: the properties to mean 0, see the module.
    """
    table = _table(rows)
    size = len(table)
    counts = np.array([_counts(*record) for record in zip(table["SMILES"], table["Stoichiometry"], strict=True)])
    x = (counts / np.maximum(counts.max(0), 1)).astype(np.float32)
    y = {head: table[column].to_numpy() * unit for head, (column, unit) in COLUMNS.items()}
    held_out = size // 10
    train = slice(2 * held_out, None)
    if standardise:
        y = standardised(y, train)
    whole = Split(x, {head: values.astype(np.float32) for head, values in y.items()}, names=tuple(table["SMILES"]))
    val, test = (whole.rows(slice(first, first + held_out)) for first in (0, held_out))
    return Dataset(whole.rows(train), val, test, source=f"{size:,} molecules of QM9, in qm9pack")


def standardised(y: Mapping[str, Floats], train: slice) -> dict[str, Floats]:
    """Properties less the mean of the train split, in its standard deviations; orbital energies in the gap's."""
    means = {head: values[train].mean() for head, values in y.items()}
    means["gap"] = means["lumo"] - means["homo"]  # to the last digit: QM9 rounds each to 0.0001 hartree
    return {head: (y[head] - means[head]) / y["gap" if head in ORBITALS else head][train].std() for head in y}


def model(width: int = 128) -> Any:  # noqa: ANN401 (a keras.Model)
    """Two hidden layers that all heads share."""
    import keras

    x = shared = keras.Input((FEATURES,))
    for number in (1, 2):
        shared = keras.layers.Dense(width, activation="relu", name=f"shared_{number}")(shared)
    return keras.Model(x, {head: keras.layers.Dense(1, name=head)(shared) for head in COLUMNS})


def gap_is_lumo_minus_homo(y: Mapping[str, Any], y_pred: Mapping[str, Any]) -> Any:  # noqa: ANN401 (a tensor, (B, 1))
    """(gap - (lumo - homo))^2 of the predictions: do three heads agree?"""
    return (y_pred["gap"] - (y_pred["lumo"] - y_pred["homo"])) ** 2


def _table(rows: int) -> Any:  # noqa: ANN401 (a DataFrame)
    """The columns that are needed, of these many rows in random order."""
    import pandas as pd

    from jointdec.problems.molecules.qm9 import csv_files

    if rows < SMALLEST:
        raise UserError(f"data.rows is {rows}, but must be at least {SMALLEST}; set it with data.rows=...")
    columns = ["SMILES", "Stoichiometry", *(column for column, _ in COLUMNS.values())]
    try:
        table = pd.concat([pd.read_csv(part, usecols=columns) for part in csv_files("problem=properties")])
    except ValueError as error:
        raise UserError(
            f"qm9pack has other columns than it had ({str(error).splitlines()[0]}): "
            'pip install --force-reinstall "jointdec[qm9]".'
        ) from error
    return table.iloc[np.random.default_rng(SEED).permutation(len(table))[:rows]]


def _counts(smiles: str, stoichiometry: str) -> list[int]:
    """How many atoms of each element, bonds of each pair and order, rings of each size."""
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    bonds = dict.fromkeys(BONDS, 0)
    for bond in molecule.GetBonds():
        ends = sorted((bond.GetBeginAtom().GetSymbol(), bond.GetEndAtom().GetSymbol()), key=HEAVY.index)
        bonds[ends[0], ends[1], str(bond.GetBondType())] += 1
    rings = [0] * RINGS
    for ring in molecule.GetRingInfo().AtomRings():
        rings[min(len(ring) - 3, RINGS - 1)] += 1
    atoms = [int(count) for count in stoichiometry.strip("[]").split(",")]
    return [*atoms, *bonds.values(), *rings]


problem = Problem(
    data=data,
    model=model,
    heads={head: Head("real", metrics=["mae"]) for head in COLUMNS},
    terms={"gap_is_lumo_minus_homo": gap_is_lumo_minus_homo},
)
