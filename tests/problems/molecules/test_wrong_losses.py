"""What is wrong with each specimen, pinned on numbers worked out by hand or in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from jointdec.objective.formulation import make_formulation

FLAGS = ["model.tower=[8]", "training.precision=float64"]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    labels = {"nodes": np.eye(5)[rng.integers(0, 5, (6, 9))], "edges": np.eye(4)[rng.integers(0, 4, (6, 9, 9))]}
    heads = {"nodes": rng.normal(size=(6, 9, 5)), "edges": rng.normal(size=(6, 9, 9, 4))}
    return [{head: tf.constant(array) for head, array in arrays.items()} for arrays in (labels, heads)]


def answer_of(make_config, outputs, target):
    """Loss and gradient of the answer's first head where all nine atoms have these outputs and this class."""
    formulation = make_formulation(make_config("loss=answer", *FLAGS))
    nodes = tf.constant(np.tile(np.array(outputs, np.float64), (1, 9, 1)))
    none = tf.zeros((1, 9, 9, 4), tf.float64)
    labels = {"nodes": tf.one_hot([[target] * 9], len(outputs), dtype="float64"), "edges": none}
    with tf.GradientTape() as tape:
        tape.watch(nodes)
        losses = formulation.loss(labels, {"nodes": nodes, "edges": none})
    return float(losses["nodes"]), tape.gradient(losses["nodes"], nodes).numpy()


@pytest.mark.parametrize(
    ("outputs", "loss"),
    [([-1, 2, 3, 1, 0], 16.118), ([-3, 1, -1, 0.5, 0], 1e-7)],
    ids=["a wrong atom", "a false perfect"],
)
def test_the_answer_clips_raw_outputs_and_their_gradient_is_gone(make_config, outputs, loss):
    value, gradient = answer_of(make_config, outputs, target=0)
    assert value == pytest.approx(loss, abs=1e-3)
    assert not gradient.any()


def test_the_answer_is_nan_where_the_outputs_sum_to_0(make_config):
    value, gradient = answer_of(make_config, [1, -1, 0, 0, 0], target=2)
    assert np.isnan(value)
    assert np.isnan(gradient).any()


def test_the_answer_is_right_where_outputs_are_probabilities_which_raw_ones_are_not(make_config):
    value, _ = answer_of(make_config, [0.5, 0.25, 0.25, 0, 0], target=1)
    assert value == pytest.approx(np.log(4))


def test_one_callable_for_both_heads_meets_a_vector_where_band_part_needs_a_matrix(make_config, batch):
    formulation = make_formulation(make_config("loss=joint_indexed", *FLAGS))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"input must be at least 2-dim, received shape: \[9\]"):
        formulation.loss(*batch)


def test_indexing_callables_see_the_first_molecule_for_atoms_and_the_second_for_bonds(make_config, batch):
    formulation = make_formulation(make_config("loss=split_indexed", *FLAGS))
    labels, heads = ({head: tensor.numpy() for head, tensor in tensors.items()} for tensors in batch)

    def entropy(head, molecule):
        z = heads[head][molecule]
        return -(labels[head][molecule] * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).sum(-1)

    expected = entropy("nodes", 0).mean() + 2 * np.triu(entropy("edges", 1), k=1).mean()
    assert float(formulation.loss(*batch)["loss"]) == pytest.approx(expected, rel=1e-12)
