import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from jointdec.problems import find
from jointdec.problems.molecules.generation import SHARES, canonical_smiles, connected, generation
from jointdec.problems.molecules.smiles import to_molecule

ATOMS = {"C": 0, "O": 1, "N": 2, "F": 3, "none": 4}


def graph(atoms, bonds):
    """Labels from atom names and {(i, j): bond class}."""
    nodes = np.full(9, ATOMS["none"], np.uint8)
    nodes[: len(atoms)] = [ATOMS[atom] for atom in atoms]
    edges = np.zeros((9, 9), np.uint8)
    for (i, j), bond in bonds.items():
        edges[i, j] = edges[j, i] = bond
    return nodes, edges


ETHANOL = graph("CCO", {(0, 1): 1, (1, 2): 1})
ETHANOL_BACKWARDS = graph("OCC", {(0, 1): 1, (1, 2): 1})
BENZENE = graph("CCCCCC", {(0, 1): 2, (1, 2): 1, (2, 3): 2, (3, 4): 1, (4, 5): 2, (0, 5): 1})
BENZENE_SHIFTED = graph("CCCCCC", {(0, 1): 1, (1, 2): 2, (2, 3): 1, (3, 4): 2, (4, 5): 1, (0, 5): 2})
ACETONITRILE = graph("CCN", {(0, 1): 1, (1, 2): 3})
TWO_PIECES = graph("CCOC", {(0, 1): 1, (2, 3): 1})
PENTAVALENT = graph("CCCCCC", {(0, j): 1 for j in range(1, 6)})
EMPTY = graph("", {(0, 1): 2})
DANGLING = graph("CCO", {(0, 1): 1, (1, 2): 1, (2, 3): 3, (4, 5): 1})


def judge(graphs, training=()):
    nodes, edges = (np.stack(part) for part in zip(*graphs, strict=True))
    return generation(nodes, edges, training)


def test_known_graphs_give_the_shares_counted_by_hand():
    graphs = [ETHANOL, ETHANOL, ETHANOL_BACKWARDS, BENZENE, BENZENE_SHIFTED, TWO_PIECES, PENTAVALENT, EMPTY]
    got = judge(graphs, training=("CCO", "C"))
    assert got.counts == {"CCO": 3, "c1ccccc1": 2, "CC.CO": 1}
    assert got.metrics == {
        **{"validity": 6 / 8, "uniqueness": 3 / 6, "novelty": 2 / 3, "connected": 5 / 6},
        "connected_validity": 5 / 6,  # the pentavalent carbon is in one piece, the empty graph is not
    }


@pytest.mark.parametrize(
    ("labels", "smiles"),
    [
        (ETHANOL, "CCO"),
        (ACETONITRILE, "CC#N"),
        (BENZENE, "c1ccccc1"),
        (PENTAVALENT, None),
        (EMPTY, None),
        (DANGLING, "CCO"),
    ],
)
def test_a_graph_has_the_smiles_of_its_molecule_or_none(labels, smiles):
    assert canonical_smiles(*labels) == smiles


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_a_graph_is_connected_as_rdkit_counts_its_fragments(seed):
    rng = np.random.default_rng(seed)
    nodes = rng.choice(5, (20, 9), p=[0.3, 0.1, 0.1, 0.1, 0.4]).astype(np.uint8)
    edges = np.triu(rng.choice(4, (20, 9, 9), p=[0.7, 0.2, 0.05, 0.05]), 1).astype(np.uint8)
    fragments = [len(Chem.GetMolFrags(to_molecule(*labels))) for labels in zip(nodes, edges, strict=True)]
    assert connected(nodes, edges).tolist() == [count == 1 for count in fragments]


def test_a_chain_of_nine_is_connected_until_one_bond_is_cut():
    whole = graph("C" * 9, {(i, i + 1): 1 for i in range(8)})
    cut = graph("C" * 9, {(i, i + 1): 1 for i in range(8) if i != 3})
    nodes, edges = (np.stack(part) for part in zip(whole, cut, EMPTY, strict=True))
    assert connected(nodes, edges).tolist() == [True, False, False]


def test_every_share_can_be_a_sweeps_objective():
    assert [f"generate/{name}" for name in SHARES] == find("molecules").final_metrics


def test_bonds_to_no_atom_do_not_make_another_molecule():
    assert judge([ETHANOL, DANGLING]).counts == {"CCO": 2}


def test_where_nothing_is_valid_the_shares_of_valid_molecules_are_nan_and_validity_is_0():
    got = judge([PENTAVALENT, EMPTY])
    assert got.validity == 0
    assert all(math.isnan(share) for share in (got.uniqueness, got.novelty, got.connected))
    assert got.connected_validity == 0  # of the one graph in one piece
    assert math.isnan(judge([EMPTY, TWO_PIECES]).connected_validity)
    assert got.counts == {}


def test_a_charged_training_molecule_is_known_by_the_graph_that_its_labels_hold():
    glycine = graph("NCCOO", {(0, 1): 1, (1, 2): 1, (2, 3): 2, (2, 4): 1})
    assert judge([glycine], training=("[NH3+]CC(=O)[O-]",)).novelty == 0
    assert judge([glycine], training=("CC(=O)[O-]",)).novelty == 1


def test_rdkit_says_nothing_about_invalid_graphs(capfd):
    judge([PENTAVALENT] * 3)
    canonical_smiles(*PENTAVALENT)
    assert capfd.readouterr() == ("", "")


def test_no_graphs_have_no_shares():
    with pytest.raises(ValueError, match="0 generated graphs"):
        generation(np.zeros((0, 9), np.uint8), np.zeros((0, 9, 9), np.uint8), ())


@st.composite
def graphs(draw):
    """Chains with a few extra bonds, some of them no molecules, with repetitions."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 30))
    nodes = rng.choice(5, (n, 9), p=[0.4, 0.2, 0.1, 0.05, 0.25]).astype(np.uint8)
    edges = np.triu(rng.choice(4, (n, 9, 9), p=[0.9, 0.07, 0.02, 0.01]), k=1).astype(np.uint8)
    edges[:, range(8), range(1, 9)] = rng.choice(2, (n, 8), p=[0.1, 0.9])
    pick = rng.integers(0, n, 2 * n)
    return nodes[pick], edges[pick]


def shares_by_loops(nodes, edges, training):
    names = []
    for atoms, bonds in zip(nodes, edges, strict=True):
        molecule, index = Chem.RWMol(), {}
        for i in range(9):
            if atoms[i] != 4:
                index[i] = molecule.AddAtom(Chem.Atom("CONF"[atoms[i]]))
        for i in range(9):
            for j in range(i + 1, 9):
                if bonds[i, j] and i in index and j in index:
                    molecule.AddBond(index[i], index[j], Chem.BondType.values[int(bonds[i, j])])
        try:
            Chem.SanitizeMol(molecule)
        except Chem.MolSanitizeException:
            continue
        names += [Chem.MolToSmiles(molecule)] if index else []
    distinct = set(names)
    connected = sum(len(Chem.GetMolFrags(Chem.MolFromSmiles(name))) == 1 for name in names)
    new = distinct - set(training)
    return names, len(names) / len(nodes), len(distinct), len(new), connected


@settings(deadline=None, max_examples=50)
@given(graphs())
def test_the_shares_are_those_of_a_loop_over_the_samples(case):
    training = ("CCO", "C", "CC", "O")
    got = generation(*case, training)
    names, validity, distinct, new, connected = shares_by_loops(*case, training)
    assert got.counts == {name: names.count(name) for name in names}
    assert got.validity == validity
    if names:
        assert got.uniqueness * len(names) == pytest.approx(distinct, abs=1e-9) == len(got.counts)
        assert got.novelty == new / distinct
        assert got.connected == connected / len(names)


@settings(deadline=None, max_examples=30)
@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(case, random):
    nodes, edges = case
    order = random.sample(range(len(nodes)), len(nodes))
    first, second = generation(nodes, edges, ("CO",)), generation(nodes[order], edges[order], ("CO",))
    np.testing.assert_equal(first.metrics, second.metrics)
    assert list(first.counts.items()) == list(second.counts.items())


def test_counts_are_listed_from_the_most_frequent_then_by_name():
    got = judge([ACETONITRILE, ETHANOL, BENZENE, BENZENE])
    assert list(got.counts) == ["c1ccccc1", "CC#N", "CCO"]
