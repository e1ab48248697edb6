"""The compiled evaluation against `jointdec.problems.molecules.reconstruction` and the losses' formula in float64."""

import numpy as np
import pytest
import tensorflow as tf

from jointdec.objective.formulation import CHUNK, make_formulation
from jointdec.problems import find
from jointdec.problems.molecules.reconstruction import reconstruction
from jointdec.problems.molecules.tf_native import TfNative
from jointdec.training import evaluation
from jointdec.training.evaluation import Evaluation, Examples

HEADS = 9 * 5 + 9 * 9 * 4


class LogitsAsFeatures(TfNative):
    """A decoder whose features are the logits themselves, so that a test decides every one of them."""

    def heads(self, features):
        return {
            "nodes": tf.reshape(features[:, :45], (-1, 9, 5)),
            "edges": tf.reshape(features[:, 45:], (-1, 9, 9, 4)),
        }


@pytest.fixture
def formulation(make_config):
    config = make_config("loss=tf_native", "training.precision=float64", "loss.weights.nodes=3")
    return LogitsAsFeatures(find("molecules"), config)


def molecules_and_logits(size, seed=0):
    """Labels, and logits that mostly agree: all three shares are neither 0 nor 1 for many molecules."""
    rng = np.random.default_rng(seed)
    nodes, edges = rng.integers(0, 5, (size, 9)), rng.integers(0, 4, (size, 9, 9))
    noise = rng.choice([0.1, 2.5], size=(size, 1, 1))
    nodes_logits = rng.normal(size=(size, 9, 5)) * noise + 4 * np.eye(5)[nodes]
    edges_logits = rng.normal(size=(size, 9, 9, 4)) * noise[..., None] + 4 * np.eye(4)[edges]
    return nodes.astype(np.uint8), edges.astype(np.uint8), nodes_logits, edges_logits


def arrays(nodes, edges, nodes_logits, edges_logits):
    features = np.concatenate([nodes_logits.reshape(-1, 45), edges_logits.reshape(-1, 324)], axis=1)
    return Examples(tf.constant(features), {"nodes": tf.constant(nodes), "edges": tf.constant(edges)}, {})


def truth(nodes, edges, nodes_logits, edges_logits):
    def entropy(labels, z):
        z = z - z.max(-1, keepdims=True)
        return -(labels * (z - np.log(np.exp(z).sum(-1, keepdims=True)))).sum(-1)

    y_nodes = nodes if nodes.ndim == 3 else np.eye(5)[nodes]
    y_edges = edges if edges.ndim == 4 else np.eye(4)[edges]
    means = {
        "nodes": entropy(y_nodes, nodes_logits).mean(),
        "edges": np.triu(entropy(y_edges, edges_logits), k=1).mean(),
    }
    loss = 3 * means["nodes"] + 2 * means["edges"]
    return {"loss": loss, **means, **reconstruction(nodes, edges, nodes_logits, edges_logits)}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 11, 12, 13])
def test_every_molecule_counts_once_however_many_chunks_they_fill(formulation, monkeypatch, size):
    monkeypatch.setattr(evaluation, "CHUNK", 4)
    data = molecules_and_logits(size, seed=size)
    assert Evaluation(formulation, jit=False)(arrays(*data)) == pytest.approx(truth(*data), rel=1e-13)


@pytest.mark.parametrize("size", [7, CHUNK, 2 * CHUNK + 5])
def test_the_compiled_evaluation_agrees_with_the_metrics_module(formulation, size):
    data = molecules_and_logits(size)
    expected = truth(*data)
    assert size < CHUNK or all(0 < expected[share] < 1 for share in ("node_accuracy", "edge_accuracy", "exact"))
    assert Evaluation(formulation, jit=True)(arrays(*data)) == pytest.approx(expected, rel=1e-12)


def test_labels_that_are_distributions_count_by_their_largest_entry(formulation):
    _, _, nodes_logits, edges_logits = molecules_and_logits(6)
    rng = np.random.default_rng(1)
    nodes, edges = rng.dirichlet(np.ones(5), (6, 9)), rng.dirichlet(np.ones(4), (6, 9, 9))
    data = nodes, edges, nodes_logits, edges_logits
    assert Evaluation(formulation, jit=False)(arrays(*data)) == pytest.approx(truth(*data), rel=1e-13)


@pytest.mark.parametrize("jit", [False, True])
def test_a_nan_logit_makes_its_atom_or_pair_wrong_and_one_below_the_diagonal_none(formulation, jit):
    nodes, edges, _, _ = molecules_and_logits(4)
    nodes_logits, edges_logits = np.eye(5)[nodes], np.eye(4)[edges]
    nodes_logits[0, 3, nodes[0, 3]] = np.nan
    edges_logits[1, 2, 6, 0] = np.nan
    edges_logits[2, 6, 2, 0] = np.nan  # below
    data = nodes, edges, nodes_logits, edges_logits
    means = Evaluation(formulation, jit=jit)(arrays(*data))
    assert np.isnan([means["nodes"], means["edges"], means["loss"]]).all()
    shares = {"node_accuracy": 35 / 36, "edge_accuracy": 143 / 144, "exact": 0.5}
    assert {name: means[name] for name in shares} == pytest.approx(shares)
    assert reconstruction(*data) == pytest.approx(shares)


def test_where_classes_tie_the_first_one_is_the_answer(formulation):
    nodes, edges = np.zeros((2, 9), np.uint8), np.zeros((2, 9, 9), np.uint8)
    nodes[1], edges[1] = 1, 1
    means = Evaluation(formulation, jit=True)(arrays(nodes, edges, np.zeros((2, 9, 5)), np.zeros((2, 9, 9, 4))))
    assert means["exact"] == means["node_accuracy"] == means["edge_accuracy"] == 0.5


@pytest.mark.parametrize("loss", ["joint", "split", "tf_native"])
def test_every_formulation_is_evaluated_alike(make_config, molecules, decoder_truth, loss):
    config = make_config(f"loss={loss}", "model.tower=[8]", "training.precision=float64")
    decoder = make_formulation(config)
    split = molecules.val
    means = Evaluation(decoder, jit=False)(evaluation.on_device(split, tf.float64))
    expected = decoder_truth(config.model, decoder.get_weights(), split.x, split.y["nodes"], split.y["edges"])
    losses = expected.losses()
    logits = decoder.logits(split.x.astype(np.float64))
    shares = reconstruction(split.y["nodes"], split.y["edges"], **logits)
    losses["loss"] = losses["nodes"] + 2 * losses["edges"]
    assert means == pytest.approx({**losses, **shares}, rel=1e-12)
