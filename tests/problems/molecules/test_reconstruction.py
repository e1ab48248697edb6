import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jointdec.problems.molecules.reconstruction import decode, reconstruction

N = st.integers(1, 4)
SEEDS = st.integers(0, 2**32 - 1)


def labels_and_logits(seed, n, right=0.8):
    """Labels as the data have them, and logits that agree with a share of them."""
    rng = np.random.default_rng(seed)
    nodes = rng.integers(0, 5, (n, 9)).astype(np.uint8)
    edges = np.triu(rng.integers(0, 4, (n, 9, 9)), k=1).astype(np.uint8)
    edges += edges.transpose(0, 2, 1)
    nodes_logits = rng.normal(size=(n, 9, 5)) + 8 * np.eye(5)[nodes] * (rng.random((n, 9, 1)) < right)
    edges_logits = rng.normal(size=(n, 9, 9, 4)) + 8 * np.eye(4)[edges] * (rng.random((n, 9, 9, 1)) < right)
    return nodes, edges, nodes_logits, edges_logits


def truth_by_loops(nodes, edges, nodes_logits, edges_logits):
    atoms_right = pairs_right = exact = 0
    for m in range(len(nodes)):
        atoms = sum(int(np.argmax(nodes_logits[m, i])) == nodes[m, i] for i in range(9))
        bonds = sum(int(np.argmax(edges_logits[m, i, j])) == edges[m, i, j] for i in range(9) for j in range(i + 1, 9))
        atoms_right, pairs_right, exact = (
            atoms_right + atoms,
            pairs_right + bonds,
            exact + (atoms + bonds == 45),
        )
    n = len(nodes)
    return {
        "node_accuracy": atoms_right / (9 * n),
        "edge_accuracy": pairs_right / (36 * n),
        "exact": exact / n,
    }


def test_one_wrong_atom_and_two_wrong_pairs_are_counted_by_hand():
    nodes = np.full((2, 9), 4, np.uint8)
    edges = np.zeros((2, 9, 9), np.uint8)
    nodes_logits, edges_logits = np.eye(5)[nodes], np.eye(4)[edges]
    nodes_logits[0, 0] = [1, 0, 0, 0, 0]
    edges_logits[0, 0, 1] = edges_logits[0, 7, 8] = [0, 1, 0, 0]
    got = reconstruction(nodes, edges, nodes_logits, edges_logits)
    assert got == {"node_accuracy": 17 / 18, "edge_accuracy": 70 / 72, "exact": 0.5}


@given(SEEDS, N)
def test_the_shares_are_those_of_a_loop_over_atoms_and_pairs(seed, n):
    case = labels_and_logits(seed, n, right=0.95)
    assert reconstruction(*case) == pytest.approx(truth_by_loops(*case), abs=1e-12)


@given(SEEDS, N)
def test_the_truth_against_itself_is_1(seed, n):
    nodes, edges, _, _ = labels_and_logits(seed, n)
    nodes_logits, edges_logits = np.eye(5)[nodes], np.eye(4)[edges]
    assert set(reconstruction(nodes, edges, nodes_logits, edges_logits).values()) == {1.0}


@given(SEEDS, N)
def test_no_more_molecules_are_exact_than_atoms_or_pairs_are_right(seed, n):
    got = reconstruction(*labels_and_logits(seed, n, right=0.99))
    assert got["exact"] <= min(got["node_accuracy"], got["edge_accuracy"])


@given(SEEDS, N, hnp.arrays(np.float64, (9, 9, 4), elements=st.floats(allow_nan=True)))
def test_the_diagonal_and_what_is_below_it_never_matter(seed, n, other):
    nodes, edges, nodes_logits, edges_logits = labels_and_logits(seed, n)
    changed, changed_labels = edges_logits.copy(), edges.copy()
    lower = np.tril_indices(9)
    changed[:, *lower] = other[lower]
    changed_labels[:, *lower] = 3
    assert reconstruction(nodes, changed_labels, nodes_logits, changed) == reconstruction(
        nodes, edges, nodes_logits, edges_logits
    )
    for got, expected in zip(decode(nodes_logits, changed), decode(nodes_logits, edges_logits), strict=True):
        np.testing.assert_array_equal(got, expected)


@given(SEEDS, N)
def test_dense_labels_stand_for_their_largest_entry(seed, n):
    nodes, edges, nodes_logits, edges_logits = labels_and_logits(seed, n)
    rng = np.random.default_rng(seed)
    dense_nodes = (np.eye(5)[nodes] + 0.4 * rng.random((n, 9, 5))).astype(np.float32)
    dense_edges = (np.eye(4)[edges] + 0.4 * rng.random((n, 9, 9, 4))).astype(np.float32)
    assert reconstruction(dense_nodes, dense_edges, nodes_logits, edges_logits) == reconstruction(
        nodes, edges, nodes_logits, edges_logits
    )


@given(SEEDS, N)
def test_decoded_edges_are_symmetric_without_a_diagonal_and_read_above_it(seed, n):
    _, _, nodes_logits, edges_logits = labels_and_logits(seed, n)
    nodes, edges = decode(nodes_logits, edges_logits)
    assert (nodes.dtype, edges.dtype) == (np.uint8, np.uint8)
    np.testing.assert_array_equal(nodes, np.argmax(nodes_logits, axis=2))
    for i in range(9):
        assert not edges[:, i, i].any()
        for j in range(i + 1, 9):
            np.testing.assert_array_equal(edges[:, i, j], np.argmax(edges_logits[:, i, j], axis=1))
            np.testing.assert_array_equal(edges[:, j, i], edges[:, i, j])


def test_a_nan_logit_is_wrong_even_where_the_class_would_be_right():
    nodes, edges = np.zeros((1, 9), np.uint8), np.zeros((1, 9, 9), np.uint8)
    nodes_logits, edges_logits = np.eye(5)[nodes], np.eye(4)[edges]
    nodes_logits[0, 3, 0] = edges_logits[0, 2, 5, 0] = np.nan
    got = reconstruction(nodes, edges, nodes_logits, edges_logits)
    assert got == {"node_accuracy": 8 / 9, "edge_accuracy": 35 / 36, "exact": 0.0}


@pytest.mark.parametrize("head", [0, 1])
def test_nan_logits_are_not_decoded(head):
    logits = [np.zeros((1, 9, 5)), np.zeros((1, 9, 9, 4))]
    logits[head][0, 0, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        decode(*logits)


def test_no_molecules_have_no_shares():
    with pytest.raises(ValueError, match="0 molecules"):
        reconstruction(np.zeros((0, 9)), np.zeros((0, 9, 9)), np.zeros((0, 9, 5)), np.zeros((0, 9, 9, 4)))
