"""Every warning is proved by Keras's own number, and so is every silence."""

import re
from collections import OrderedDict

import keras
import numpy as np
import pytest
from keras import layers, ops

from jointdec.training.inputs import read_examples
from jointdec.training.matching import matching

N = 6
X = np.random.default_rng(0).random((N, 2)).astype("float32")
FAR = np.full((N, 1), 10.0, np.float32)  # from 0, which the models below predict: mse 100, mae 10
NEAR = np.zeros((N, 1), np.float32)
Y = {"z": NEAR, "a": FAR}


def zeros(kind="dict", names=("z", "a"), **compiled):
    """Two heads that predict 0: z is written first, a is first in the alphabet."""
    inputs = keras.Input((2,))
    heads = {
        key: layers.Dense(1, name=name, kernel_initializer="zeros")(inputs)
        for key, name in zip("za", names, strict=True)
    }
    model = keras.Model(inputs, {"dict": heads, "list": list(heads.values()), "ordered": OrderedDict(heads)}[kind])
    model.compile(**{"optimizer": "sgd", "loss": "mse", "run_eagerly": True} | compiled)
    return model


def passing(*tail, shape, **compiled):
    """A model that returns its input."""
    model = keras.Sequential([keras.Input(shape), *(tail or [layers.Identity()])])
    model.compile("sgd", run_eagerly=True, **compiled)
    return model


def of_keras(model, y, weights=None, x=X):
    return model.evaluate(x, y, sample_weight=weights, batch_size=len(x), verbose=0, return_dict=True)


def warned(model, y, weights=None, x=X):
    return matching(model, read_examples(model, x, y, weights)).warnings


def assert_warns(sentence, *given, **more):
    (only,) = warned(*given, **more)
    assert re.search(sentence, only), only
    assert "\n" not in only


def test_each_output_has_its_loss_weight_metrics_and_shapes():
    model = zeros(loss={"a": "mae", "z": keras.losses.Huber()}, loss_weights={"a": 2.0, "z": keras.Variable(0.5)},
                  metrics={"z": ["mse", "mae"]}, weighted_metrics={"a": "mse"})  # fmt: skip
    assert {row.name: row[1:] for row in matching(model, read_examples(model, X, Y)).rows} == {
        "a": ("mae", 2.0, ("mse",), (1,), (1,)),
        "z": ("huber_loss", 0.5, ("mse", "mae"), (1,), (1,)),
    }


def test_the_table_can_be_read():
    model = passing(
        layers.Dense(3),
        shape=(2,),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    assert str(matching(model, read_examples(model, X, np.arange(N) % 3))).splitlines() == [
        "output  loss                                      weight  metrics   labels  predictions",
        "output  sparse_categorical_crossentropy (logits)  1       accuracy  (n,)    (n, 3)",
    ]


@pytest.mark.parametrize("kind", ["dict", "list"])
@pytest.mark.parametrize("y", [Y, dict(reversed(Y.items())), OrderedDict(reversed(Y.items()))])
def test_dicts_go_by_name_in_any_order_and_are_silent(kind, y):
    model = zeros(
        kind, loss={"a": "mae", "z": "mse"}, loss_weights={"a": 2.0, "z": 3.0}, metrics={"a": "mse", "z": "mae"}
    )
    own = of_keras(model, y)
    assert [own[name] for name in ("loss", "a_loss", "z_loss", "a_mse", "z_mae")] == [20, 10, 0, 100, 0]
    assert not warned(model, y)


def test_a_list_of_losses_over_a_dict_goes_by_the_alphabet():
    model = zeros(loss=["mae", "mse"])
    assert of_keras(model, Y)["loss"] == 10  # a, written second, has mae
    assert_warns(r"losses are a list.*to a, z.*write loss=\{'z': ..., 'a': ...\}", model, Y)
    assert [row.loss for row in matching(model, read_examples(model, X, Y)).rows] == ["mae", "mse"]


def test_lists_that_go_where_they_seem_to_are_silent():
    for model in (zeros("list", loss=["mae", "mse"]), zeros("ordered", loss=["mae", "mse"])):
        assert of_keras(model, list(Y.values()))["loss"] == 100
        assert not warned(model, list(Y.values()))
    assert not warned(zeros(loss=["mse", "mse"], metrics=["mae", "mae"]), Y)
    assert not warned(zeros(loss=[keras.losses.Huber(), keras.losses.Huber()]), Y)


def test_a_list_of_labels_over_a_dict_goes_by_the_alphabet():
    model = zeros(loss={"z": "mse", "a": "mae"})
    assert of_keras(model, list(Y.values()))["loss"] == 100  # the labels of a, but z's loss
    assert_warns("labels are a list.*to a, z", model, list(Y.values()))


def test_a_list_of_metrics_over_a_dict_goes_by_the_alphabet():
    model = zeros(metrics=["mae", "mse"])
    assert {"a_mae", "z_mse"} <= set(of_keras(model, Y))
    assert_warns("metrics are a list.*to a, z", model, Y)
    assert not warned(zeros("list", metrics=["mae", "mse"]), Y)


def test_weights_in_a_list_or_under_wrong_names_go_by_the_alphabet():
    in_a_list = zeros(loss={"z": "mse", "a": "mse"}, loss_weights=[2.0, 3.0])
    misnamed = zeros(loss={"z": "mse", "a": "mse"}, loss_weights={"z": 2.0, "zz": 3.0})
    for model in (in_a_list, misnamed):
        assert of_keras(model, Y)["loss"] == 200  # a has the 2
        assert_warns("loss_weights.*by order, 3.0 to 'z', 2.0 to 'a'", model, Y)
    assert not warned(zeros("list", loss={"z": "mse", "a": "mse"}, loss_weights=[2.0, 3.0]), Y)


def test_metrics_that_get_the_labels_of_another_output_are_found():
    model = zeros(names=("a", "z"), metrics={"a": "mse"})  # the output a ends in the layer z
    own = of_keras(model, [FAR, NEAR])
    assert (own["a_loss"], own["a_mse"]) == (100, 0)
    assert any("metrics of 'a' get the labels of another output" in text for text in warned(model, [FAR, NEAR]))


def test_metrics_of_named_outputs_in_a_list_go_to_their_heads():
    inputs = keras.Input((2,))  # the model of keras#22625, which Keras 3.14.0 mixed up
    heads = [
        layers.Dense(3, name="regression")(inputs),
        layers.Softmax(name="direction")(layers.Reshape((3, 3))(layers.Dense(9)(inputs))),
    ]
    model = keras.Model(inputs, heads)
    model.compile("sgd", {"regression": "huber", "direction": "categorical_crossentropy"},
                  metrics={"regression": ["mae"], "direction": ["accuracy"]})  # fmt: skip
    y = {"regression": np.ones((N, 3)), "direction": np.eye(3)[np.zeros((N, 3), int)]}
    np.testing.assert_allclose(
        of_keras(model, y)["regression_mae"], np.abs(model.predict(X, verbose=0)[0] - 1).mean(), rtol=1e-5
    )
    assert not warned(model, y)
    assert [row.metrics for row in matching(model, read_examples(model, X, y)).rows] == [("mae",), ("accuracy",)]


def test_of_two_losses_of_one_output_keras_uses_the_first():
    model = passing(shape=(1,), loss=["mae", "mse"])
    assert of_keras(model, FAR, x=NEAR)["loss"] == 10
    assert_warns("only the first of its losses, mae, not mse", model, FAR, x=NEAR)
    assert of_keras(model, [FAR], x=NEAR)["loss"] == 110
    assert not warned(model, [FAR], x=NEAR)


def test_an_output_without_a_loss_is_named():
    assert_warns("No loss for the output 'a'", zeros(loss={"z": "mse"}), Y)
    assert_warns("without a loss", zeros(loss=None), None)


def test_what_keras_cannot_match_is_said_with_its_own_words():
    assert_warns("cannot match.*'b'", zeros(loss={"z": "mse", "b": "mse"}), Y)


class OwnLoss(keras.losses.Loss):
    def call(self, y, p):
        return ops.mean(ops.square(y - p), -1)


class OwnCompute(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(y_pred)


class OwnStep(keras.Model):
    def train_step(self, data):
        return {}


class Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = layers.Dense(1)

    def call(self, x):
        return {"price": self.head(x), "same": self.head(x)}


@pytest.mark.parametrize(("cls", "name"), [(OwnCompute, "compute_loss"), (OwnStep, "train_step")])
def test_a_function_of_the_models_own_decides_and_nothing_is_warned_of(cls, name):
    inputs = keras.Input((2,))
    model = cls(inputs, layers.Dense(3)(inputs))
    model.compile("sgd", "sparse_categorical_crossentropy")
    said = matching(model, read_examples(model, X, np.full(N, 99)))
    assert str(said) == f"The model's own {name} decides which loss goes to which output."


def test_a_subclass_says_its_outputs_when_it_is_asked():
    model = Subclass()
    model.compile("sgd", OwnLoss())
    y = {"same": FAR, "price": FAR[:, 0]}
    assert_warns("labels of 'price'.*own_loss", model, y)
    assert [row.name for row in matching(model, read_examples(model, X, y)).rows] == ["price", "same"]


LOSSES = ["mse", ["mse", "mae"], {"a": "mae", "z": "mse"}, {"z": "mse"}, {"z": None, "a": "mse"}, [None, "mae"]]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("kind", ["dict", "list", "ordered"])
def test_the_rows_are_what_keras_decides_when_it_trains(kind, loss):
    model = zeros(kind, loss=loss)
    rows = matching(model, read_examples(model, X, Y if kind == "dict" else list(Y.values()))).rows
    try:
        of_keras(model, Y if kind == "dict" else list(Y.values()))
    except (KeyError, ValueError):  # Keras takes no dict of losses for ordered outputs, and all or none for a list
        assert all(row.loss is None for row in rows)
    else:
        decided = {loss.name: loss.loss.name for loss in model._compile_loss._flat_losses}
        assert {row.name: row.loss for row in rows if row.loss} == decided


def test_a_model_trains_as_if_nobody_had_asked():
    histories = []
    for asked in (False, True):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([layers.Dense(4), layers.Dropout(0.5), layers.BatchNormalization(), layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae"])
        if asked:
            matching(model, read_examples(model, X, FAR))
        histories.append(model.fit(X, FAR, epochs=2, verbose=0).history)
    assert histories[0] == histories[1]


def test_matching_leaves_the_model_as_it_was():
    model = zeros(loss={"z": "mse", "a": OwnLoss()}, metrics={"z": [keras.metrics.MeanAbsoluteError()]})
    before = len(model.variables)
    matching(model, read_examples(model, X, Y))
    assert not model._compile_loss.built
    assert not model.optimizer.built
    assert len(model.variables) == before
