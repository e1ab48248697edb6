import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from jointdec.dataset import silent
from jointdec.problems.molecules.load import SAMPLE
from jointdec.problems.molecules.records import Record, read_records
from jointdec.problems.molecules.smiles import DoesNotFit, Molecules, parse, parse_records, to_molecule

VALENCE = np.array([4, 2, 3, 1, 0])  # of C, O, N, F and none


@pytest.fixture(scope="module")
def sample() -> Molecules:
    return parse_records(read_records(SAMPLE, ""), silent)


def smiles_of(nodes, edges):
    molecule = to_molecule(nodes, edges)
    Chem.SanitizeMol(molecule)
    return Chem.MolToSmiles(molecule, isomericSmiles=False)


def bonds_of(edges):
    return sorted(edges[np.triu_indices(9, 1)][edges[np.triu_indices(9, 1)] > 0].tolist())


def test_a_molecule_becomes_the_labels_written_by_hand():
    molecule = parse("N#CC(F)=O")
    assert molecule.smiles == "N#CC(=O)F"
    assert molecule.nodes.tolist() == [2, 0, 0, 1, 3, 4, 4, 4, 4]
    expected = np.zeros((9, 9))
    for i, j, bond in [(0, 1, 3), (1, 2, 1), (2, 3, 2), (2, 4, 1)]:
        expected[i, j] = expected[j, i] = bond
    np.testing.assert_array_equal(molecule.edges, expected)
    assert molecule.nodes.dtype == molecule.edges.dtype == np.uint8


@pytest.mark.parametrize(
    ("smiles", "bonds"),
    [
        ("c1ccccc1", [1, 1, 1, 2, 2, 2]),
        ("c1cc[nH]c1", [1, 1, 1, 2, 2]),
        ("c1ccoc1", [1, 1, 1, 2, 2]),
        ("c1cncnc1", [1, 1, 1, 2, 2, 2]),
        ("Cn1cnnc1", [1, 1, 1, 1, 2, 2]),
        ("c1cc2[nH]cnc2o1", [1, 1, 1, 1, 1, 1, 2, 2, 2]),
    ],
)
def test_aromatic_bonds_become_single_and_double_ones(smiles, bonds):
    assert bonds_of(parse(smiles).edges) == bonds


def test_no_bond_of_the_sample_is_lost(sample):
    for smiles, edges in zip(sample.smiles, sample.edges, strict=True):
        assert len(bonds_of(edges)) == Chem.MolFromSmiles(smiles).GetNumBonds(), smiles


def test_labels_of_the_sample_are_symmetric_padded_at_the_end_and_within_valence(sample):
    assert sample.skipped == ()
    np.testing.assert_array_equal(sample.edges, sample.edges.transpose(0, 2, 1))
    assert not sample.edges[:, range(9), range(9)].any()
    none = sample.nodes == 4
    assert (np.diff(none.astype(int), axis=1) >= 0).all()
    assert not sample.edges[none].any()
    neutral = np.array(["+" not in smiles for smiles in sample.smiles])
    assert (sample.edges.sum(axis=2) <= VALENCE[sample.nodes])[neutral].all()


def test_atoms_stand_in_the_order_of_the_canonical_smiles(sample):
    for smiles, nodes in zip(sample.smiles, sample.nodes, strict=True):
        symbols = [character for character in smiles.upper() if character in "CONF"]
        assert ["CONF"[node] for node in nodes if node != 4] == symbols


def test_labels_of_every_uncharged_molecule_of_the_sample_give_its_smiles_back(sample):
    changed = [
        smiles
        for smiles, nodes, edges in zip(sample.smiles, sample.nodes, sample.edges, strict=True)
        if "+" not in smiles and smiles_of(nodes, edges) != smiles
    ]
    assert changed == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_labels_do_not_depend_on_how_the_smiles_is_written(sample, data):
    smiles = sample.smiles[data.draw(st.integers(0, len(sample.smiles) - 1))]
    seed = data.draw(st.integers(1, 2**31 - 1))
    (other,) = Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 1, seed)
    molecule, again = parse(smiles), parse(other)
    assert again.smiles == molecule.smiles
    np.testing.assert_array_equal(again.nodes, molecule.nodes)
    np.testing.assert_array_equal(again.edges, molecule.edges)


@pytest.mark.parametrize(
    ("smiles", "canonical"),
    [("N[C@H](O)F", "NC(O)F"), ("F/C=C/F", "FC=CF"), ("[13CH4]", "C"), ("[H]O[H]", "O"), ("CC.O", "CC.O")],
)
def test_stereochemistry_isotopes_and_hydrogens_are_left_out(smiles, canonical):
    assert parse(smiles).smiles == canonical


def test_a_charged_molecule_is_kept_and_its_labels_hold_no_charge():
    molecule = parse("C[N+](C)(C)C")
    assert molecule.smiles == "C[N+](C)(C)C"
    assert molecule.nodes.tolist() == [0, 2, 0, 0, 0, 4, 4, 4, 4]
    assert not any(atom.GetFormalCharge() for atom in to_molecule(molecule.nodes, molecule.edges).GetAtoms())


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("no molecule", "not a valid SMILES"),
        ("C(", "not a valid SMILES"),
        ("C(C)(C)(C)(C)C", "not a valid SMILES"),
        ("c1cccc1", "not a valid SMILES"),
        ("C\0C", "not a valid SMILES"),
        ("é😀", "not a valid SMILES"),
        ("", "no atoms"),
        ("C" * 10, "10 heavy atoms (at most 9 fit)"),
        ("CCS", "holds S (C, O, N and F fit)"),
        ("ClCBr", "holds Br, Cl (C, O, N and F fit)"),
        ("[H][H]", "holds H (C, O, N and F fit)"),
        ("C*", "holds * (C, O, N and F fit)"),
        ("C$C", "a bond of type quadruple (single, double and triple fit)"),
        ("C->N", "a bond of type dative (single, double and triple fit)"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason_and_without_a_word_from_rdkit(smiles, reason, capfd):
    with pytest.raises(DoesNotFit) as refused:
        parse(smiles)
    assert str(refused.value) == reason
    assert capfd.readouterr() == ("", "")


def test_records_that_do_not_fit_are_kept_with_line_text_and_reason():
    records = [Record(1, "C"), Record(3, "S"), Record(4, "OC"), Record(7, "C")]
    found = parse_records(records, silent)
    assert found.smiles == ("C", "CO", "C")
    assert found.nodes.shape == (3, 9)
    assert found.edges.shape == (3, 9, 9)
    (skipped,) = found.skipped
    assert (skipped.line, skipped.text, skipped.reason) == (3, "S", "holds S (C, O, N and F fit)")


def test_no_record_that_fits_gives_empty_labels():
    found = parse_records([Record(1, "?")], silent)
    assert found.smiles == ()
    assert found.nodes.shape == (0, 9)
    assert found.edges.shape == (0, 9, 9)


def test_labels_with_atoms_after_a_none_and_bonds_to_it_give_the_graph_of_the_atoms():
    nodes = np.array([4, 0, 4, 1, 4, 4, 4, 4, 2], np.uint8)
    edges = np.zeros((9, 9), np.uint8)
    edges[1, 3], edges[0, 1], edges[3, 8], edges[8, 1], edges[5, 5] = 2, 3, 1, 1, 2
    molecule = to_molecule(nodes, edges)
    assert [atom.GetSymbol() for atom in molecule.GetAtoms()] == ["C", "O", "N"]
    bonds = {(b.GetBeginAtomIdx(), b.GetEndAtomIdx()): b.GetBondTypeAsDouble() for b in molecule.GetBonds()}
    assert bonds == {(0, 1): 2.0, (1, 2): 1.0}
