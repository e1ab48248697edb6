"""Every warning of shapes and logits is proved by Keras's own number, and so is every silence."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from jointdec.training.inputs import read_examples
from jointdec.training.matching import matching

N = 6
X = np.random.default_rng(0).random((N, 2)).astype("float32")
FAR = np.full((N, 1), 10.0, np.float32)
NEAR = np.zeros((N, 1), np.float32)


def passing(*tail, shape, **compiled):
    """A model that returns its input."""
    model = keras.Sequential([keras.Input(shape), *(tail or [layers.Identity()])])
    model.compile("sgd", run_eagerly=True, **compiled)
    return model


def draw(*shapes):
    random = np.random.default_rng(1)
    return [random.random(shape).astype("float32") for shape in shapes]


def of_keras(model, x, y, weights=None):
    return model.evaluate(x, y, sample_weight=weights, batch_size=len(x), verbose=0, return_dict=True)


def warned(model, x, y, weights=None):
    return matching(model, read_examples(model, x, y, weights)).warnings


def assert_warns(sentence, *given):
    (only,) = warned(*given)
    assert re.search(sentence, only), only
    assert "\n" not in only


class OwnLoss(keras.losses.Loss):
    def call(self, y, p):
        return ops.mean(ops.square(y - p), -1)


def own_function(y, p):
    return ops.mean(ops.square(y - p), -1)


SHAPES = [
    ((N,), (N, 1)),
    ((N, 1), (N,)),
    ((N, 9), (N, 9, 1)),
    ((N, 9, 1), (N, 9)),
    ((N, 1, 1), (N, 1)),
    ((N, 2), (N, 2)),
]


@pytest.mark.parametrize(
    "loss", ["mse", own_function, keras.losses.MeanSquaredError()], ids=["name", "function", "object"]
)
@pytest.mark.parametrize(("labels", "output"), SHAPES)
def test_keras_squeezes_for_its_losses_and_for_functions_and_nothing_is_said(loss, labels, output):
    y, p = draw(labels, output)
    model = passing(shape=output[1:], loss=loss)
    np.testing.assert_allclose(of_keras(model, p, y)["loss"], np.square(y.reshape(output) - p).mean(), rtol=1e-5)
    assert not warned(model, p, y)


@pytest.mark.parametrize(("labels", "output"), [((N,), (N, 1)), ((N, 1), (N,))])
def test_a_loss_class_of_the_users_own_is_broadcast(labels, output):
    y, p = draw(labels, output)
    model = passing(shape=output[1:], loss=OwnLoss())
    every_pair = np.square(y.reshape(-1, 1) - p.reshape(1, -1)).mean()
    np.testing.assert_allclose(of_keras(model, p, y)["loss"], every_pair, rtol=1e-5)
    assert_warns(r"loss own_loss.* broadcasts them", model, p, y)
    assert not warned(model, p, y.reshape(output))


def test_a_metric_function_of_the_users_own_is_broadcast():
    y, p = draw((N,), (N, 1))
    model = passing(shape=(1,), loss="mse", metrics=["mae", own_function])
    own = of_keras(model, p, y)
    np.testing.assert_allclose(own["own_function"], np.square(y - p).mean(), rtol=1e-5)  # (n,) - (n, 1) is (n, n)
    np.testing.assert_allclose(own["loss"], np.square(y[:, None] - p).mean(), rtol=1e-5)
    assert_warns("metric own_function broadcasts", model, p, y)


def test_one_label_against_five_outputs_is_asked_about():
    (p,) = draw((N, 5))
    model = passing(shape=(5,), loss="mse")
    np.testing.assert_allclose(of_keras(model, p, FAR)["loss"], np.square(FAR - p).mean(), rtol=1e-5)
    assert_warns(r"\(n, 1\), the output \(n, 5\), and mse repeats", model, p, FAR)


WEIGHED = [
    ((N, 1), (N,)),
    ((N, 4), (N,)),
    ((N, 4), (N, 1)),
    ((N, 4, 5), (N, 1)),
    ((N, 4, 5), (N, 4)),
    ((N, 4, 5), (N, 4, 1)),
]
MISPLACED = [((N, N, 5), (N,)), ((N, N, N, 5), (N, N)), ((N, N), (N, N))]  # other sizes than the batch's fail in Keras


@pytest.mark.parametrize(
    ("output", "weights", "silent"), [(*w, True) for w in WEIGHED] + [(*m, False) for m in MISPLACED]
)
def test_sample_weights_that_weigh_the_wrong_values_are_found(output, weights, silent):
    p, y, w = draw(output, output, weights)
    model = passing(shape=output[1:], loss="mse")
    places = np.square(y - p).mean(-1)
    if w.ndim > places.ndim and w.shape[-1] == 1:
        w_in_place = w[..., 0]
    else:
        w_in_place = w.reshape(w.shape + (1,) * (places.ndim - w.ndim))
    meant = (places * w_in_place).mean() if w_in_place.ndim == places.ndim else (np.square(y - p) * w).mean()
    assert np.isclose(of_keras(model, p, y, w)["loss"], meant, rtol=1e-5) == silent
    if silent:
        assert not warned(model, p, y, w)
        assert not warned(model, p, [y], w if w.shape[1:] in ((), (1,)) else [w])
    else:
        assert_warns("Keras aligns their last axes", model, p, y, w)


def test_weights_are_followed_into_sizes_that_the_model_leaves_open():
    p, y, w = draw((N, N, 5), (N, N, 5), (N,))
    model = passing(shape=(None, 5), loss="mse")
    places = np.square(y - p).mean(-1)
    assert np.isclose(of_keras(model, p, y, w)["loss"], (places * w).mean(), rtol=1e-5)  # not of the rows: w[:, None]
    assert_warns("Keras aligns their last axes", model, p, y, w)
    assert not warned(model, p, y, w[:, None])


def test_a_loss_of_one_number_cannot_weigh_examples():
    model = passing(shape=(1,), loss=lambda y, p: ops.mean(ops.square(y - p)))
    y, only_last = np.arange(N, dtype="float32")[:, None], np.eye(N)[-1] * N
    assert np.isclose(of_keras(model, NEAR, y, only_last)["loss"], np.square(y).mean())
    assert_warns("one number a batch", model, NEAR, y, only_last)


Z = 3 * np.random.default_rng(2).normal(size=(N, 3)).astype("float32")
CLASSES = np.arange(N) % 3
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]


def softmax(z):
    return np.exp(z) / np.exp(z).sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def categorical(p):
    return -np.log(p[np.arange(N), CLASSES]).mean()


def binary(p):
    return -(ONE_HOT * np.log(p) + (1 - ONE_HOT) * np.log(1 - p)).mean()


SPARSE, CATEGORICAL, BINARY = (
    keras.losses.SparseCategoricalCrossentropy, keras.losses.CategoricalCrossentropy, keras.losses.BinaryCrossentropy
)  # fmt: skip
LINEAR, SIGMOID = layers.Dense(3, kernel_initializer="identity"), layers.Activation("sigmoid")
SOFTMAX, RESHAPE, PASS = layers.Softmax(), layers.Reshape((3,)), layers.Activation("linear")
IN_FLOAT64 = layers.Softmax(dtype="float64")
TWICE = categorical(softmax(softmax(Z)))
BY_SOFTMAX = "ends in a sigmoid, but Keras computes.*by a softmax"
BY_SIGMOID = "ends in a softmax, but Keras computes.*by a sigmoid"
NESTED = keras.Sequential([keras.Input((3,)), layers.Activation("sigmoid"), layers.Flatten()])
FOR_LOGITS = "takes its probabilities for logits"
LOGITS = {
    "linear": ([LINEAR], SPARSE(from_logits=True), CLASSES, categorical(softmax(Z)), None),
    "softmax": ([SOFTMAX], CATEGORICAL(), ONE_HOT, categorical(softmax(Z)), None),
    "sigmoid": ([SIGMOID], BINARY(), ONE_HOT, binary(sigmoid(Z)), None),
    "no softmax": ([LINEAR], SPARSE(), CLASSES, None, "without an activation.*softmax"),
    "no sigmoid": ([LINEAR], "binary_crossentropy", ONE_HOT, None, "without.*end it in a sigmoid"),
    "reshaped input": ([RESHAPE], SPARSE(), CLASSES, None, None),
    "remembered softmax": ([SOFTMAX], SPARSE(from_logits=True), CLASSES, categorical(softmax(Z)), None),
    "remembered sigmoid": ([SIGMOID, layers.Identity()], BINARY(from_logits=True), ONE_HOT, binary(sigmoid(Z)), None),
    "softmax passed on": ([SOFTMAX, PASS], SPARSE(), CLASSES, categorical(softmax(Z)), None),
    "logits passed on": ([LINEAR, PASS], SPARSE(), CLASSES, None, "without an activation"),
    "reshaped softmax": ([SOFTMAX, RESHAPE], SPARSE(from_logits=True), CLASSES, TWICE, FOR_LOGITS),
    "float64 softmax": ([IN_FLOAT64], SPARSE(from_logits=True), CLASSES, TWICE, FOR_LOGITS),
    "nested sigmoid": ([NESTED], BINARY(from_logits=True), ONE_HOT, binary(sigmoid(sigmoid(Z))), FOR_LOGITS),
    "sigmoid for a softmax": ([SIGMOID], CATEGORICAL(), ONE_HOT, categorical(softmax(Z)), BY_SOFTMAX),
    "softmax for a sigmoid": ([SOFTMAX], BINARY(), ONE_HOT, binary(sigmoid(Z)), BY_SIGMOID),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*received `from_logits=True`")
@pytest.mark.parametrize(("tail", "loss", "y", "number", "sentence"), LOGITS.values(), ids=LOGITS)
def test_a_cross_entropy_of_what_it_does_not_take_is_found(tail, loss, y, number, sentence):
    model = passing(*tail, shape=(3,), loss=loss)
    if number is not None:
        np.testing.assert_allclose(of_keras(model, Z, y)["loss"], number, rtol=1e-4)
    if sentence:
        assert_warns(sentence, model, Z, y)
    else:
        assert not warned(model, Z, y)


@pytest.mark.parametrize("activation", [None, "softmax", ops.softmax])
def test_the_activation_of_a_layer_and_an_operation_are_seen(activation):
    inputs = keras.Input((2,))
    by_operation = callable(activation)
    outputs = layers.Dense(3, None if by_operation else activation)(inputs)
    model = keras.Model(inputs, activation(outputs) if by_operation else outputs)
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert len(warned(model, X, CLASSES)) == (activation is None)
