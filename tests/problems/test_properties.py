"""Truths: qm9pack's table in pandas, atoms and bonds counted by hand, the term in numpy."""

import importlib.util

import numpy as np
import pytest

from jointdec.errors import UserError
from jointdec.problems import properties
from jointdec.problems.properties import BONDS, COLUMNS, FEATURES, data

TINY = ["problem=properties", "data.rows=1500"]
needs_qm9pack = pytest.mark.skipif(importlib.util.find_spec("qm9pack") is None, reason="the extra qm9 is not installed")


@pytest.fixture(scope="module")
def dataset():
    return data(rows=1500, standardise=False)


@pytest.fixture(scope="module")
def trained(train):
    return train(*TINY, "training.epochs=20", "optimizer.learning_rate=0.003")


@needs_qm9pack
def test_energies_are_qm9packs_in_ev(dataset):
    import pandas as pd

    from jointdec.problems.molecules.qm9 import csv_files

    table = pd.concat([pd.read_csv(part, usecols=["SMILES", "HOMO_au", "Dipole_debye"]) for part in csv_files()])
    by_smiles = table.drop_duplicates("SMILES", keep=False).set_index("SMILES")
    split = dataset.test
    known = [row for row, name in enumerate(split.names) if name in by_smiles.index][:50]
    assert len(known) == 50
    for row in known:
        assert split.y["homo"][row] == pytest.approx(27.2114 * by_smiles.HOMO_au[split.names[row]], rel=1e-5)
        assert split.y["mu"][row] == pytest.approx(by_smiles.Dipole_debye[split.names[row]], abs=1e-5)
    assert -12 < split.y["homo"].min() < split.y["homo"].max() < -2  # in hartree it would be above -0.5


@needs_qm9pack
def test_the_gap_is_lumo_minus_homo_up_to_the_rounding_of_the_table_standardised_or_not(dataset):
    scaled = data(rows=1500)
    for split in (dataset.train, scaled.train):
        difference = split.y["gap"] - (split.y["lumo"] - split.y["homo"])
        assert np.abs(difference).max() < 2 * 1e-4 * 27.2114
    for head, values in scaled.train.y.items():
        assert values.mean() == pytest.approx(0, abs=1e-3), head
        assert values.std() == pytest.approx(1, rel=1e-4) or head in ("homo", "lumo")


@needs_qm9pack
def test_the_heads_scales_lie_far_apart_unless_standardised(dataset):
    spreads = {head: values.std() for head, values in dataset.train.y.items()}
    assert max(spreads.values()) > 1000 * min(spreads.values())


def test_atoms_bonds_and_rings_are_counted():
    ethanol = properties._counts("CCO", "[6,2,0,1,0]")
    assert ethanol[:5] == [6, 2, 0, 1, 0]
    bonds = dict(zip(BONDS, ethanol[5:], strict=False))
    assert (bonds["C", "C", "SINGLE"], bonds["C", "O", "SINGLE"], sum(bonds.values())) == (1, 1, 2)
    assert dict(zip(BONDS, properties._counts("OC#N", "[1,1,1,1,0]")[5:], strict=False))["C", "N", "TRIPLE"] == 1
    assert properties._counts("C1CC1C1CCC1", "[12,7,0,0,0]")[-3:] == [1, 1, 0]
    assert len(ethanol) == FEATURES


@pytest.mark.slow
@needs_qm9pack
def test_the_term_is_numpys_mean_over_the_three_heads(trained):
    test, measured = trained.dataset.test, trained.test()
    homo, lumo, gap = (trained.formulation.logits(test.x)[f"{head}_logits"][:, 0] for head in ("homo", "lumo", "gap"))
    assert measured["gap_is_lumo_minus_homo"] == pytest.approx(((gap - (lumo - homo)) ** 2).mean(), rel=1e-4)
    heads = sum(measured[head] for head in COLUMNS)
    assert measured["loss"] == pytest.approx(heads + measured["gap_is_lumo_minus_homo"], rel=1e-4)


@pytest.mark.slow
@needs_qm9pack
def test_a_heavier_term_makes_the_three_heads_agree_better(train, trained):
    heavier = train(
        *TINY, "training.epochs=20", "optimizer.learning_rate=0.003", "loss.terms.gap_is_lumo_minus_homo=50"
    )
    assert heavier.test()["gap_is_lumo_minus_homo"] < 0.5 * trained.test()["gap_is_lumo_minus_homo"]


@needs_qm9pack
def test_after_training_each_head_is_better_than_its_mean(trained):
    measured, y = trained.test(), trained.dataset.test.y
    for head in COLUMNS:
        assert measured[head] < 0.9 * (y[head] ** 2).mean(), head
    for head in ("zpve", "u0", "cv"):
        assert measured[head] < 0.15, head


def test_without_qm9pack_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'problem=properties needs .*pip install "jointdec\[qm9\]"'):
        data()


def test_too_few_rows_are_refused():
    with pytest.raises(UserError, match=r"data.rows is 5, but must be at least 10"):
        data(rows=5)
