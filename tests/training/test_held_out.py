"""A compiled model's validation is Keras's own ``evaluate``, to rounding: any model, any metric, any last batch."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from jointdec.training import feed
from jointdec.training.feed import Resident, Streamed
from jointdec.training.held_out import HeldOut

SIZE = 23


def data(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(SIZE, 4)).astype(np.float32)
    return x, {"a": rng.normal(size=(SIZE, 1)).astype(np.float32), "b": rng.integers(0, 3, SIZE)}


def regression():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse", metrics=["mae", keras.metrics.RootMeanSquaredError()])
    return model, lambda y: y["a"]


def classification():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, kernel_regularizer="l2")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top")])
    return model, lambda y: y["b"]


def two_heads(weighted=()):
    x = keras.Input((4,))
    heads = {"a": keras.layers.Dense(1, name="a")(x), "b": keras.layers.Dense(3, name="b", activation="softmax")(x)}
    model = keras.Model(x, heads)
    losses = {"a": "mse", "b": "sparse_categorical_crossentropy"}
    model.compile("sgd", losses, loss_weights={"a": 2.0, "b": 0.5}, metrics={"a": ["mae"], "b": ["accuracy"]})
    return model, lambda y: y


class OwnTest(keras.Model):
    """A test_step of the user's, which logs what it likes."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.largest = keras.metrics.Mean(name="largest")

    @property
    def metrics(self):
        return [self.largest]

    def call(self, x):
        return self.dense(x)

    def test_step(self, batch):
        x, y = batch
        self.largest.update_state(tf.reduce_max(tf.abs(self(x) - y), axis=1))
        return {"largest": self.largest.result()}


def own_test():
    model = OwnTest()
    model(np.zeros((1, 4), np.float32))
    model.compile("sgd", "mse")
    return model, lambda y: y["a"]


MODELS = [regression, classification, two_heads, own_test]


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(3)


def by_keras(model, *batch, batch_size):
    """Its ``evaluate``."""
    x, y, *weights = batch
    options = {"sample_weight": weights[0] if weights else None, "verbose": 0, "return_dict": True}
    return model.evaluate(x, y, batch_size=batch_size, **options)


def evaluated(model, batch, batch_size, *, jit=False, memory=None):
    def order(epoch):
        return np.arange(SIZE)

    made = Resident(batch, order, batch_size) if memory is None else Streamed(batch, order, batch_size, memory)
    return partial(HeldOut(model, made), jit=jit)


@pytest.mark.parametrize("batch_size", [1, 5, SIZE, 40])
@pytest.mark.parametrize("make", MODELS)
def test_it_is_keras_s_evaluate_whatever_the_last_batch(make, batch_size):
    model, pick = make()
    x, y = data()
    expected = by_keras(model, x, pick(y), batch_size=batch_size)
    held_out = evaluated(model, (x, pick(y)), batch_size)
    found = held_out()
    assert found == pytest.approx(expected, rel=1e-5)
    assert held_out() == found  # nothing is left of the first time


@pytest.mark.parametrize("make", MODELS)
def test_chunks_however_small_and_streams_evaluate_the_same(make, monkeypatch):
    model, pick = make()
    x, y = data()
    whole = evaluated(model, (x, pick(y)), 3)()
    monkeypatch.setattr(feed, "CHUNK", 2)
    assert evaluated(model, (x, pick(y)), 3)() == whole
    assert evaluated(model, (x, pick(y)), 3, memory=1)() == whole


def test_sample_weights_count_as_in_keras():
    model, pick = regression()
    x, y = data()
    weights = np.random.default_rng(1).uniform(size=SIZE).astype(np.float32)
    expected = by_keras(model, x, pick(y), weights, batch_size=5)
    assert evaluated(model, (x, pick(y), weights), 5)() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("make", [two_heads, own_test])
def test_it_compiles_with_xla(make):
    model, pick = make()
    x, y = data()
    expected = by_keras(model, x, pick(y), batch_size=5)
    assert evaluated(model, (x, pick(y)), 5, jit=True)() == pytest.approx(expected, rel=1e-5)


def test_it_evaluates_the_weights_as_they_are_and_changes_none():
    model, pick = regression()
    x, y = data()
    held_out = evaluated(model, (x, pick(y)), 5)
    before = held_out()
    kept = [np.array(variable) for variable in model.weights]
    model.layers[0].kernel.assign(2 * model.layers[0].kernel)
    expected = by_keras(model, x, pick(y), batch_size=5)
    assert held_out() == pytest.approx(expected, rel=1e-5) != pytest.approx(before, rel=1e-2)
    for value, variable in zip(kept[1:], model.weights[1:], strict=True):
        np.testing.assert_array_equal(value, np.array(variable))
