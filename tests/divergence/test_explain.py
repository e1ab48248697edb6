"""`jointdec.explain`: faults put into models on purpose, so that operation, line, cause and row are known before.

The lines are known from the source of this file: each fault has its mark behind it.
"""

import inspect
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import jointdec
from jointdec.divergence.catalogue import CAUSES
from jointdec.errors import UserError

rng = np.random.default_rng(0)
X = rng.normal(size=(8, 4)).astype("float32")
Y = rng.normal(size=(8, 1)).astype("float32")
SOURCE = Path(__file__).read_text(encoding="utf-8").splitlines()


def line_of(mark):
    (number,) = [number for number, text in enumerate(SOURCE, 1) if text.endswith(f"# {mark}")]
    return f"{Path(__file__).name}:{number}"


class Own(layers.Layer):
    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


def model_of(*parts, loss="mse", optimizer="adam", **options):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), *parts])
    model.compile(optimizer, loss, **options)
    return model


def last(**options):
    return layers.Dense(1, name="last", **options)


def log(y, p):
    return ops.mean(ops.log(ops.relu(p)))  # log


def masked_log(y, p):
    safe = ops.relu(p)
    return ops.mean(ops.where(p > 0, ops.log(safe), 0.0))  # masked log


def empty_mask(y, p):
    mask = ops.cast(y > 100, "float32")
    return ops.sum(mask * ops.square(p - y)) / ops.sum(mask)  # empty mask


def root_at_zero(y, p):
    return ops.sqrt(ops.sum(ops.square(0.0 * p)))  # root at zero


def half_power(y, p):
    return ops.mean(ops.power(p, 0.5))  # half power


def exponential(y, p):
    return ops.mean(ops.exp(1e4 * p))  # exponential


def quotient(y, p):
    return ops.mean(p / (0.0 * y))  # quotient


def arc(y, p):
    return ops.mean(ops.arccos(p + 3.0))  # arc


def mean_of_none(y, p):
    return ops.mean(p) + tf.reduce_mean(tf.boolean_mask(p, y > 100))  # mean of none


def own_softmax(x):
    return ops.softmax(ops.where(x > 100.0, x, float("-inf")))  # masked softmax


def norm(x):
    x = 0.0 * x
    return x / ops.norm(x, axis=-1, keepdims=True)  # norm


def negative_root(x):
    return ops.sqrt(x - 100.0)  # negative root


def mapped(x):
    return tf.map_fn(lambda row: tf.math.log(row - 100.0), x)  # mapped


@tf.function
def looped(x):
    total = tf.zeros_like(x)
    for _ in tf.range(3):
        total += tf.math.log(x - 100.0)  # looped
    return total


def infinite_difference(x):
    return float("inf") * ops.ones_like(x) - float("inf") * ops.ones_like(x)  # infinite difference


LOSSES = {
    log: ("Log", "log_of_nonpositive"),
    masked_log: ("Log", "masked_gradient"),
    empty_mask: ("RealDiv", "empty_sum"),
    root_at_zero: ("Sqrt", "gradient_at_zero"),
    half_power: ("Pow", "fractional_power"),
    exponential: ("Exp", "exponential_overflow"),
    quotient: ("RealDiv", "division_by_zero"),
    arc: ("Acos", "outside_domain"),
    mean_of_none: ("Mean", "empty_mean"),
}
LAYERS = {
    own_softmax: ("Softmax", "masked_softmax", "masked softmax"),
    norm: ("RealDiv", "zero_norm", "norm"),
    negative_root: ("Sqrt", "sqrt_of_negative", "negative root"),
    mapped: ("Log", "log_of_nonpositive", "mapped"),
    looped: ("Log", "log_of_nonpositive", "looped"),
    infinite_difference: ("Sub", "inf_minus_inf", "infinite difference"),
}


@pytest.mark.parametrize(("loss", "expected"), LOSSES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_in_a_loss_is_told_with_its_line_and_cause(loss, expected):
    found = jointdec.explain(model_of(last(), loss=loss), X, Y)
    assert (found.operation, found.cause) == expected
    assert (found.line, found.function) == (line_of(loss.__name__.replace("_", " ")), loss.__name__)
    assert found.remedy == CAUSES[found.cause].code or CAUSES[found.cause].remedy
    assert found.evidence


@pytest.mark.parametrize(("function", "expected"), LAYERS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_fault_in_a_layer_is_told_with_the_layer_even_inside_loops_and_tf_functions(function, expected):
    operation, cause, mark = expected
    found = jointdec.explain(model_of(Own(function, name="own"), last()), X, Y)
    assert (found.operation, found.cause, found.line) == (operation, cause, line_of(mark))
    assert found.layer.endswith("own")


def given_weights(**values):
    model = model_of(layers.Dense(8, name="first"), last())
    for path, value in values.items():
        variable = next(v for v in model.weights if v.path.endswith(path.replace("__", "/")))
        variable.assign(np.full(variable.shape, value, "float32"))
    return model


def grown():
    model = given_weights(first__kernel=1e30)
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(5)
    return model


STOCK = {  # a model without a line of the user's: operation, cause, part, and a part of the tensor's name
    "bad_initial_value": (lambda: given_weights(last__kernel=np.nan), "given", "variable", "last/kernel"),
    "learning_rate": (grown, "Square", "loss", "loss/Square"),
    "regulariser": (
        lambda: model_of(last(kernel_regularizer=keras.regularizers.L2(3e38), kernel_initializer="ones")),
        "Mul",
        "loss",
        "loss/Mul",
    ),
    "loss_weight": (lambda: model_of(last(), loss_weights=[3e38]), "Mul", "loss", "loss/Mul"),
    "epsilon": (
        lambda: model_of(Own(lambda x: 0.0 * x), last(), optimizer=keras.optimizers.Adam(epsilon=0.0)),
        "RealDiv",
        "update",
        "update/",
    ),
    "low_precision_overflow": (
        lambda: model_of(Own(lambda x: 1e5 * x, dtype="float32"), layers.Dense(4, dtype="mixed_float16"), last()),
        "Cast",
        "forward",
        "/Cast",
    ),
}


@pytest.mark.parametrize("cause", STOCK)
def test_without_a_line_of_the_user_s_the_layer_or_variable_is_named(cause):
    make, operation, part, name = STOCK[cause]
    found = jointdec.explain(make(), 10 * X, 100 * Y)
    assert (found.cause, found.operation, found.part) == (cause, operation, part)
    assert name in found.tensor
    assert found.line == ""


def test_raw_outputs_where_probabilities_are_wanted_are_told():
    model = model_of(Own(lambda x: 0.0 * x), layers.Dense(3, use_bias=False), loss="categorical_crossentropy")
    found = jointdec.explain(model, X, np.eye(3, dtype="float32")[np.arange(8) % 3])
    assert (found.cause, found.operation) == ("unnormalised_probabilities", "RealDiv")


def test_a_label_that_is_no_class_is_told():
    model = model_of(layers.Dense(3), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    found = jointdec.explain(model, X, np.array([0, 1, 2, 7, 0, 1, 2, 0]))
    assert found.cause == "labels_outside_classes"
    assert "7" in found.evidence
    assert "[0, 3)" in found.evidence


@pytest.mark.parametrize(("what", "row"), [("x", 3), ("y", 5)])
def test_a_bad_row_of_the_batch_is_named(what, row):
    x, y = X.copy(), Y.copy()
    {"x": x, "y": y}[what][row] = np.nan
    found = jointdec.explain(model_of(last()), x, y)
    assert (found.tensor, found.cause) == (what, "bad_input")
    assert f"row {row} of the batch" in found.where


def test_a_head_and_what_is_not_finite_for_it_are_named():
    inputs = keras.Input((4,))
    trunk = layers.Dense(5, name="trunk")(inputs)
    model = keras.Model(inputs, {name: layers.Dense(1, name=name)(trunk) for name in ("a", "b")})
    model.compile("adam", {"a": "mse", "b": log})
    found = jointdec.explain(model, X, {"a": Y, "b": Y})
    assert (found.line, found.heads, found.tensor) == (line_of("log"), ("b",), "loss/b/Log")
    assert "loss" in found.reached


class OwnStep(keras.Model):
    def train_step(self, data):
        x, _ = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.math.log(self(x, training=True) - 100.0))  # own step
        weights = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def test_a_train_step_of_the_user_s_own_is_followed():
    inputs = keras.Input((4,))
    model = OwnStep(inputs, last()(inputs))
    model.compile("adam")
    found = jointdec.explain(model, X, Y)
    assert (found.line, found.function, found.cause) == (line_of("own step"), "train_step", "log_of_nonpositive")


def test_a_nan_that_is_masked_out_for_good_is_no_divergence():
    def harmless(y, p):
        return ops.mean(ops.square(p)) + ops.mean(ops.where(y > -100, 1.0, ops.log(y - 100.0)))

    assert jointdec.explain(model_of(last(), loss=harmless), X, Y) is None


def test_a_mask_of_minus_infinity_is_no_divergence():
    def attention(x):
        return ops.softmax(x + ops.where(x > 0, 0.0, float("-inf")) * ops.cast(ops.max(x, -1, True) > 0, x.dtype))

    assert jointdec.explain(model_of(Own(attention), last()), np.abs(X), Y) is None


def test_a_recurrent_model_that_is_finite_has_nothing_to_explain_and_stays_as_it_was():
    inputs = keras.Input((4, 1))
    hidden = layers.Dropout(0.3)(layers.BatchNormalization()(layers.LSTM(3)(inputs)))
    model = keras.Model(inputs, last()(hidden))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X[..., None], Y, verbose=0)
    before = [v.numpy() for v in (*model.variables, *model.optimizer.variables, *model.metrics_variables)]
    assert jointdec.explain(model, X[..., None], Y) is None
    after = [v.numpy() for v in (*model.variables, *model.optimizer.variables, *model.metrics_variables)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new, old)


def test_what_keras_could_not_train_on_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="8 rows, but y has 7"):
        jointdec.explain(model_of(last()), X, Y[:7])
    with pytest.raises(UserError, match="compile"):
        jointdec.explain(keras.Sequential([keras.Input((4,)), last()]), X, Y)


def test_a_training_by_jointdec_fit_ends_with_the_same_explanation():
    x = np.abs(X).repeat(4, 0)

    def fails_at(y, p):
        return ops.mean(ops.square(p)) + ops.mean(ops.log(100.0 - y))  # row of its own

    y = np.zeros((32, 1), "float32")
    y[13] = 200.0
    run = jointdec.fit(
        model_of(last(), loss=fails_at), x, y, batch_size=4, shuffle=False, jit=False, tracking="none", verbose=0
    )
    found = run.divergence
    assert (found.step, found.line, found.operation) == (3, line_of("row of its own"), "Log")
    assert found.cause == "log_of_nonpositive"
    assert "row 13 of the data" in found.where
    assert found.line in found.sentence
    assert found.remedy in found.sentence


def test_the_public_name_says_what_it_gives():
    assert "None if nothing" in inspect.getdoc(jointdec.explain)
