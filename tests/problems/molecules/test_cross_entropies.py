import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from jointdec.problems.molecules.cross_entropies import edge_cross_entropy, node_cross_entropy

TERMS = {"nodes": (node_cross_entropy, (2, 9, 5)), "edges": (edge_cross_entropy, (2, 9, 9, 4))}
ABOVE = np.triu(np.ones((9, 9), bool), k=1)
SEEDS = st.integers(0, 2**32 - 1)
LARGE = st.sampled_from([0.5, 30.0, 1e3, 1e8])  # exp overflows float64 at 710


def entropy_by_loops(labels, logits):
    """-sum_c y_c log p_c of every row, a row at a time."""
    rows = []
    for y, z in zip(labels.reshape(-1, labels.shape[-1]), logits.reshape(-1, logits.shape[-1]), strict=True):
        largest = max(z)
        log_sum = largest + np.log(sum(np.exp(value - largest) for value in z))
        rows.append(sum(y_c * (log_sum - z_c) for y_c, z_c in zip(y, z, strict=True)))
    return np.array(rows).reshape(labels.shape[:-1])


def distributions(rng, shape):
    """Labels that spread over the classes, and some that are one-hot."""
    labels = rng.exponential(size=shape)
    labels[0] = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[1:-1])]
    return labels / labels.sum(-1, keepdims=True)


@pytest.mark.parametrize("head", TERMS)
@given(seed=SEEDS, size=LARGE)
@settings(max_examples=20)
def test_a_term_is_the_cross_entropy_also_of_soft_labels_and_of_large_logits(head, seed, size):
    term, shape = TERMS[head]
    rng = np.random.default_rng(seed)
    labels, logits = distributions(rng, shape), size * rng.normal(size=shape)
    expected = entropy_by_loops(labels, logits) * (ABOVE if head == "edges" else 1)
    # logsumexp - z cancels: the error is that of the logits, not of the result
    np.testing.assert_allclose(term(labels, logits), expected, rtol=1e-12, atol=1e-14 * size)


@pytest.mark.parametrize("head", TERMS)
def test_a_term_computes_in_the_logits_own_dtype(head):
    term, shape = TERMS[head]
    for dtype in ("float32", "float64"):
        zeros = tf.zeros(shape, dtype)
        assert keras.backend.standardize_dtype(term(zeros, zeros).dtype) == dtype


def test_the_edge_term_is_zero_on_and_below_the_diagonal_and_its_mean_divides_by_81():
    labels = np.broadcast_to(np.eye(4)[0], (3, 9, 9, 4))
    term = np.asarray(edge_cross_entropy(labels, np.zeros((3, 9, 9, 4))))
    assert (term[:, ~ABOVE] == 0).all()
    np.testing.assert_allclose(term[:, ABOVE], np.log(4), rtol=1e-15)
    assert float(keras.ops.mean(term)) == pytest.approx(36 / 81 * np.log(4), rel=1e-14)


@given(seed=SEEDS, size=LARGE)
@settings(max_examples=20)
def test_nothing_on_or_below_the_diagonal_reaches_the_edge_loss_or_its_gradient(seed, size):
    rng = np.random.default_rng(seed)
    labels, logits = distributions(rng, (1, 9, 9, 4)), rng.normal(size=(1, 9, 9, 4))
    below = size * rng.normal(size=(1, 9, 9, 4))
    losses, gradients = [], []
    for z in (logits, np.where(ABOVE[:, :, None], logits, below)):
        z = tf.constant(z)  # noqa: PLW2901 (the tape watches tensors)
        with tf.GradientTape() as tape:
            tape.watch(z)
            losses.append(keras.ops.mean(edge_cross_entropy(labels, z)))
        gradients.append(tape.gradient(losses[-1], z).numpy()[0])
    assert losses[0] == losses[1]
    np.testing.assert_array_equal(gradients[0][ABOVE], gradients[1][ABOVE])
    assert (gradients[1][~ABOVE] == 0).all()


@pytest.mark.parametrize("head", TERMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_is_softmax_minus_labels_and_finite_at_logits_of_any_size(head, dtype):
    term, shape = TERMS[head]
    rng = np.random.default_rng(0)
    labels = distributions(rng, shape)
    for size in (1.0, 1e3, 1e30):
        logits = tf.constant(size * rng.normal(size=shape), dtype)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            total = tf.reduce_sum(term(tf.constant(labels, dtype), logits))
        gradient = tape.gradient(total, logits).numpy()
        z = logits.numpy().astype(np.float64)
        softmax = np.exp(z - z.max(-1, keepdims=True))
        softmax /= softmax.sum(-1, keepdims=True)
        expected = (softmax - labels) * (ABOVE[:, :, None] if head == "edges" else 1)
        assert np.isfinite(total)
        # exp's argument of up to a few thousand carries its relative rounding as an absolute one
        np.testing.assert_allclose(gradient, expected, atol=2e-6 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("jit", [False, True])
def test_a_nan_logit_reaches_the_loss_from_above_the_diagonal_and_from_below_it_only_its_own_gradient(jit):
    """Below it the value is cut off, but 0 x NaN stays NaN going back: such a step counts as diverged all the same."""

    @tf.function(jit_compile=jit)
    def loss_and_gradient(labels, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_mean(edge_cross_entropy(labels, logits))
        return loss, tape.gradient(loss, logits)

    labels = np.broadcast_to(np.eye(4)[1], (1, 9, 9, 4))
    for (i, j), reaches in {(0, 1): True, (7, 8): True, (3, 3): False, (8, 0): False}.items():
        logits = np.zeros((1, 9, 9, 4))
        logits[0, i, j, 2] = np.nan
        loss, gradient = loss_and_gradient(tf.constant(labels), tf.constant(logits))
        assert np.isnan(loss) == reaches
        poisoned = np.isnan(gradient.numpy()[0]).any(-1)
        assert poisoned[i, j]
        assert poisoned.sum() == 1


def test_a_nan_logit_of_an_atom_reaches_the_loss():
    logits = np.zeros((2, 9, 5))
    logits[1, 4, 0] = np.nan
    term = np.asarray(node_cross_entropy(np.broadcast_to(np.eye(5)[2], (2, 9, 5)), logits))
    assert np.argwhere(np.isnan(term)).tolist() == [[1, 4]]
