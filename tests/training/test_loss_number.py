"""Losses that give no number, by their name and line."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from jointdec.errors import NoLossNumber
from jointdec.training.loss_number import loss_must_be_a_number

X, Y = tf.zeros((3, 2)), tf.ones((3, 1))


def forgets_to_return(y, y_pred):
    keras.ops.mean(y - y_pred)


def says_true(y, y_pred):
    return y_pred > y


def rounds(y, y_pred):
    return keras.ops.square(keras.ops.cast(y_pred > y, "float32"))


def gives_a_text(y, y_pred):
    return "0.5"


def one_value_a_place(y, y_pred):
    return keras.ops.abs(y - y_pred)


class OwnLoss(keras.Model):
    """Its compute_loss gives what it is told."""

    def __init__(self, make):
        super().__init__()
        self.dense, self.make = keras.layers.Dense(1), make

    def call(self, x):
        return self.dense(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.make(y_pred)


def model_with(loss, outputs=1):
    inputs = keras.Input((2,))
    heads = {f"head_{i}": keras.layers.Dense(1, name=f"head_{i}")(inputs) for i in range(outputs)}
    model = keras.Model(inputs, heads if outputs > 1 else heads["head_0"])
    model.compile("sgd", loss)
    return model


def train_step(model, y=Y):
    with loss_must_be_a_number(model):
        return model.train_step((X, y))


@pytest.mark.parametrize(
    "loss", ["mse", one_value_a_place, lambda y, p: keras.ops.mean(p), lambda y, p: keras.ops.sum(y - p)]
)
def test_a_loss_that_gives_numbers_trains_as_before(loss):
    model, other = model_with(loss), model_with(loss)
    other.set_weights(model.get_weights())
    assert float(train_step(model)["loss"]) == float(other.train_step((X, Y))["loss"])
    assert "compute_loss" not in vars(model)


@pytest.mark.parametrize(
    ("loss", "given"),
    [(forgets_to_return, "None"), (says_true, "a tensor of shape (3, 1) and type bool"), (gives_a_text, "a str")],
)
def test_a_function_that_gives_none_is_told_by_name_line_and_what_it_gives(loss, given):
    with pytest.raises(NoLossNumber) as told:
        train_step(model_with(loss))
    line = loss.__code__.co_firstlineno
    assert str(told.value).startswith(
        f"The loss of output 'head_0', {loss.__name__} (test_loss_number.py:{line}), gives {given}, but"
    )


def test_a_loss_without_a_gradient_is_told():
    with pytest.raises(NoLossNumber, match="The loss has no gradient: it must come from the model's outputs by"):
        train_step(model_with(rounds))


def test_of_several_outputs_the_one_is_named():
    with pytest.raises(NoLossNumber, match="The loss of output 'head_1', forgets_to_return"):
        train_step(model_with({"head_0": "mse", "head_1": forgets_to_return}, 2), {"head_0": Y, "head_1": Y})


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (keras.ops.abs, r"a tensor of shape \(3, 1\) and type float32"),
        (lambda p: None, "None"),
        (lambda p: keras.ops.mean(p) > 0, r"a tensor of shape \(\) and type bool"),
    ],
)
def test_a_compute_loss_of_the_model_s_own_must_give_one_number(make, given):
    model = OwnLoss(make)
    model.compile("sgd")
    model(X)
    with pytest.raises(NoLossNumber, match=f"OwnLoss.compute_loss .* gives {given}, but must give one number a batch"):
        train_step(model)
    assert "compute_loss" not in vars(model)


def test_another_error_of_a_loss_stays_what_it_is():
    def breaks(y, y_pred):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train_step(model_with(breaks))


def test_a_compute_loss_that_gives_a_python_number_trains():
    model = OwnLoss(lambda p: keras.ops.mean(p) * np.float32(2))
    model.compile("sgd")
    model(X)
    assert np.isfinite(float(train_step(model)["loss"]))
