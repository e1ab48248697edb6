"""Losses of heads and terms against numpy in float64: every kind of label, named and own losses, missing labels."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from keras import ops

from jointdec.errors import UserError
from jointdec.objective.heads import HeadLoss, Term, mean_of
from jointdec.objective.measures import Measures
from jointdec.problem import Head, Problem

B, C = 5, 4
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(B, 3, C))
INDICES = RNG.integers(0, C, (B, 3))
REAL = RNG.normal(size=(B, 3, C))
SHARES = np.abs(REAL) / np.abs(REAL).sum(-1, keepdims=True)
FLAGS = (REAL > 0).astype(float)
COUNTS = RNG.integers(0, 5, (B, 3, C)).astype(float)


@pytest.fixture(autouse=True)
def _in_float64():
    keras.config.set_floatx("float64")


def log_softmax(z):
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def binary(y, z):
    return np.logaddexp(0, z) - y * z


CASES = {
    "classes": (Head("classes"), INDICES, -np.take_along_axis(log_softmax(Z), INDICES[..., None], -1)[..., 0]),
    "classes by name": (
        Head("classes", loss="sparse_categorical_crossentropy"),
        INDICES,
        -np.take_along_axis(log_softmax(Z), INDICES[..., None], -1)[..., 0],
    ),
    "distribution": (Head("distribution"), SHARES, -(SHARES * log_softmax(Z)).sum(-1)),
    "distribution of indices": (
        Head("distribution"),
        INDICES,
        -np.take_along_axis(log_softmax(Z), INDICES[..., None], -1)[..., 0],
    ),
    "real": (Head("real"), REAL, (REAL - Z) ** 2),
    "real by mae": (Head("real", loss="mae"), REAL, np.abs(REAL - Z)),
    "real by an object": (
        Head("real", loss=keras.losses.Huber(0.5)),
        REAL,
        np.where(np.abs(REAL - Z) <= 0.5, (REAL - Z) ** 2 / 2, 0.5 * np.abs(REAL - Z) - 0.125).mean(-1),
    ),
    "real by a function": (Head("real", loss=lambda y, z: ops.sum((y - z) ** 4, -1)), REAL, ((REAL - Z) ** 4).sum(-1)),
    "multilabel": (Head("multilabel"), FLAGS, binary(FLAGS, Z)),
    "multilabel by name": (Head("multilabel", loss="binary_focal_crossentropy"), FLAGS, None),
    "distribution by a name that takes probabilities": (
        Head("distribution", loss="kl_divergence"),
        SHARES,
        (SHARES * (np.log(SHARES) - log_softmax(Z))).sum(-1),
    ),
    "counts by a name that takes rates": (Head("counts", loss="mse"), COUNTS, (COUNTS - np.exp(Z)) ** 2),
    "counts": (Head("counts"), COUNTS, np.exp(Z) - COUNTS * Z),
}


@pytest.mark.parametrize(("head", "labels", "truth"), CASES.values(), ids=CASES)
def test_a_head_s_loss_has_a_value_a_place(head, labels, truth):
    loss = HeadLoss("h", head, (3, C), "house.py")
    y = loss.labels(ops.convert_to_tensor(labels), "float64")
    values = ops.convert_to_numpy(loss.values(y, ops.convert_to_tensor(Z)))
    assert values.shape == (B, *loss.places)
    if truth is not None:
        np.testing.assert_allclose(values, truth, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "loss", [keras.losses.CategoricalCrossentropy(), keras.losses.categorical_crossentropy, "of logits"]
)
def test_a_cross_entropy_that_takes_logits_for_probabilities_is_refused(loss):
    if loss == "of logits":
        HeadLoss(
            "h", Head("distribution", loss=keras.losses.CategoricalCrossentropy(from_logits=True)), (3, C), "house.py"
        )
        return
    with pytest.raises(
        UserError, match=r"takes probabilities \(from_logits=False\), but the head's outputs are logits"
    ):
        HeadLoss("h", Head("distribution", loss=loss), (3, C), "house.py")


def test_logits_of_any_size_give_finite_binary_cross_entropies_and_gradients():
    import tensorflow as tf

    z = tf.constant([[-1e3, 0.0, 1e3]], tf.float64)
    loss = HeadLoss("h", Head("multilabel"), (3,), "house.py")
    with tf.GradientTape() as tape:
        tape.watch(z)
        values = loss.values(tf.constant([[1.0, 1.0, 1.0]], tf.float64), z)
    np.testing.assert_allclose(values, [[1e3, np.log(2), 0]], atol=1e-12)
    np.testing.assert_allclose(tape.gradient(values, z), [[-1, -0.5, 0]], atol=1e-12)


arrays = hnp.arrays(np.float64, (B, 3), elements=st.floats(-1e3, 1e3))


@given(values=arrays, weights=hnp.arrays(np.float64, (B, 3), elements=st.sampled_from([0.0, 0.5, 1.0, 3.0])))
def test_the_mean_is_over_what_is_there_and_0_where_nothing_is(values, weights):
    found = float(mean_of(ops.convert_to_tensor(values), ops.convert_to_tensor(weights)))
    expected = (values * weights).sum() / weights.sum() if weights.sum() else 0.0
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_does_not_count_does_not_spoil_the_mean_nor_its_gradient(bad):
    import tensorflow as tf

    values = tf.constant([1.0, bad, 3.0], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(values)
        mean = mean_of(values, tf.constant([1.0, 0.0, 1.0], tf.float64))
    assert float(mean) == 2.0
    np.testing.assert_array_equal(tape.gradient(mean, values), [0.5, 0, 0.5])


def test_weights_of_examples_count_for_all_their_places_and_of_places_for_whole_rows_by_the_smallest():
    values = ops.convert_to_tensor(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert float(mean_of(values, ops.convert_to_tensor(np.array([1.0, 0.0])))) == 1.5
    rows = ops.convert_to_tensor(np.array([1.0, 5.0]))
    assert float(mean_of(rows, ops.convert_to_tensor(np.array([[1.0, 1.0], [1.0, 0.0]])))) == 1.0


def test_a_term_counts_where_every_label_that_it_reads_is_there():
    y = {"a": ops.convert_to_tensor(np.arange(4.0)), "b": ops.ones(4), "c": ops.ones(4)}
    weights = {"a": ops.convert_to_tensor([1.0, 0.0, 1.0, 1.0]), "c": ops.convert_to_tensor([0.0, 0.0, 0.0, 0.0])}
    term = Term("t", lambda y, y_pred: y["a"] - y_pred["b"], "term", "house.py")
    values, there = term.values(y, {"a": y["a"], "b": ops.ones(4)}, weights)
    assert float(mean_of(values, there)) == pytest.approx((-1 + 1 + 2) / 3)  # c's labels are not read
    labels_free = Term("f", lambda y, y_pred: y_pred["b"], "term", "house.py")
    assert labels_free.values(y, {"b": ops.ones(4)}, weights)[1] is None


@pytest.mark.parametrize("function", [lambda y, y_pred: ops.mean(y_pred["a"]), lambda y, y_pred: ops.ones((4, 3, 2))])
def test_a_term_that_gives_no_value_an_example_is_refused(function):
    with pytest.raises(
        UserError, match=r"The term 't' in house.py gives .*, but must give one value an example, \(B,\)"
    ):
        Term("t", function, "term", "house.py").values({"a": ops.ones(4)}, {"a": ops.ones(4)}, {})


def measured(heads, labels, outputs, weights=None, metrics=None):
    problem = Problem(data=len, model=len, heads=heads, metrics=metrics or {})
    measures = Measures(problem)
    tensors = [{h: ops.convert_to_tensor(a) for h, a in each.items()} for each in (labels, outputs, weights or {})]
    sums = measures.sums(*tensors)
    assert measures.names == tuple(sums)
    measures.update(*tensors)
    found = {name: float(total) / float(count) for name, (total, count) in sums.items()}
    return found | {name: float(metric.result()) for name, (_, metric) in measures.stateful.items()}


def test_metrics_of_every_kind_are_numpy_s():
    heads = {
        "c": Head("classes", metrics=["accuracy", "sparse_top_k_categorical_accuracy"]),
        "d": Head("distribution"),
        "r": Head("real", metrics=["mae", "mse", "root_mean_squared_error"]),
        "m": Head("multilabel", metrics=["accuracy", "precision"]),
        "n": Head("counts"),
    }
    labels = {"c": INDICES.astype(np.int32), "d": SHARES, "r": REAL, "m": FLAGS, "n": COUNTS}
    found = measured(heads, labels, dict.fromkeys(heads, Z))
    assert found["c_accuracy"] == pytest.approx((Z.argmax(-1) == INDICES).mean())
    assert found["c_sparse_top_k_categorical_accuracy"] == 1.0  # of 4 classes always among the first 5
    assert found["d_accuracy"] == pytest.approx((Z.argmax(-1) == SHARES.argmax(-1)).mean())
    assert found["r_mae"] == pytest.approx(np.abs(REAL - Z).mean())
    assert found["r_mse"] == pytest.approx(((REAL - Z) ** 2).mean())
    assert found["r_root_mean_squared_error"] == pytest.approx(np.sqrt(((REAL - Z) ** 2).mean()), rel=1e-5)
    assert found["m_accuracy"] == pytest.approx(((Z > 0) == (FLAGS > 0.5)).mean())
    assert found["m_precision"] == pytest.approx(FLAGS[Z > 0].mean(), rel=1e-5)
    assert found["n_mae"] == pytest.approx(np.abs(COUNTS - np.exp(Z)).mean(), rel=1e-5)


def test_metrics_leave_out_what_is_missing_and_all_right_examples_with_a_missing_label():
    z = np.array([[5.0, 0], [5, 0], [5, 0], [0, 5]])
    heads = {"a": Head("classes", metrics=["accuracy", "precision"]), "b": Head("classes")}
    labels = {"a": np.array([0, 1, 0, 1], np.int32), "b": np.array([0, 0, 1, 1], np.int32)}
    weights = {"a": np.array([1.0, 0, 1, 1])}
    found = measured(heads, labels, {"a": z, "b": z}, weights, {"exact": "all_right"})
    assert found["a_accuracy"] == 1.0
    assert found["a_precision"] == 1.0
    assert found["b_accuracy"] == 0.75
    assert found["exact"] == pytest.approx(2 / 3)  # the third is wrong in b; of the second, a is not there


def test_a_prediction_that_is_nan_is_never_right():
    assert measured({"a": Head("classes")}, {"a": np.array([0], np.int32)}, {"a": np.array([[np.nan, 0.0]])}) == {
        "a_accuracy": 0.0
    }


def test_an_unknown_metric_names_head_and_file():
    with pytest.raises(UserError, match=r"The head 'a' .* has the metric 'acuracy', which is none of Keras's"):
        Measures(Problem(data=len, model=len, heads={"a": Head("classes", metrics=["acuracy"])}))
