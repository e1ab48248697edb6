"""Parameters of compiled Keras models, against what was written down when they were compiled."""

import functools

import keras
import numpy as np
import pytest

from jointdec.reporting.fit_record import params_of

# Keras 3.15 hands variables to NumPy 2.4 in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

HERE = __name__


def own_loss(y, y_pred):
    return keras.ops.mean(keras.ops.square(y - y_pred), axis=-1)


class Meter(keras.metrics.Mean):
    """A metric of the user's own."""


class NoConfig:
    """A loss that cannot be serialised."""

    def __call__(self, y, y_pred):
        return own_loss(y, y_pred)


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """As in many tutorials: without get_config."""

    def __init__(self):
        self.width, self.steps = 64, 4000

    def __call__(self, step):
        return 1 / self.width


class House(keras.Model):
    """A model that is a Python function, with a loss of its own."""

    def __init__(self):
        super().__init__(name="house")
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(own_loss(y, y_pred))


@pytest.fixture
def one():
    features = keras.Input((3,), name="features")
    return keras.Model(features, keras.layers.Dense(1, name="price")(features), name="one")


@pytest.fixture
def two():
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    heads = {name: keras.layers.Dense(units, name=name)(joined) for name, units in (("price", 1), ("kind", 4))}
    return keras.Model([left, right], heads, name="two")


def test_a_model_with_one_output_is_described_without_names_of_outputs(one):
    one.compile("sgd", loss="mse", metrics=["mae", Meter("mine")])
    params = params_of(one, epochs=20, batch_size=None, shuffle=True, seed=7, jit="auto", rows=1000)
    expected = {
        **{"model.class": "Functional", "model.name": "one", "model.parameters": "4"},
        **{"model.input": "[null, 3]", "model.output": "[null, 1]"},
        **{"loss": "mse", "metrics": f"mae, {HERE}:Meter", "optimizer": "SGD", "optimizer.learning_rate": "0.01"},
        **{"optimizer.momentum": "0.0", "optimizer.nesterov": "false", "optimizer.clipnorm": "null"},
        **{"fit.epochs": "20", "fit.batch_size": "null", "fit.shuffle": "true", "fit.seed": "7", "fit.jit": "auto"},
        **{"fit.rows": "1000"},
    }
    assert expected.items() <= params.items()
    assert not {"optimizer.name", "loss.weights", "weighted_metrics"} & params.keys()


def test_a_sequential_model_is_described_before_and_after_it_is_built():
    model = keras.Sequential([keras.layers.Dense(2)])
    model.compile(loss="mse")
    assert not {"model.parameters", "model.output"} & params_of(model).keys()
    model.build((None, 3))
    assert {"model.parameters": "8", "model.output": "[null, 2]"}.items() <= params_of(model).items()


def test_losses_weights_and_metrics_of_several_outputs_have_the_outputs_names(two):
    from_logits = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    accuracy = keras.metrics.CategoricalAccuracy()
    two.compile(
        keras.optimizers.Adam(0.1, clipnorm=1.0),
        loss={"price": own_loss, "kind": from_logits},
        loss_weights={"price": 3.0, "kind": keras.Variable(0.5)},
        metrics={"price": "mae", "kind": [accuracy, own_loss]},
    )
    params = params_of(two)
    expected = {
        **{"model.input.left": "[null, 3]", "model.input.right": "[null, 2]"},
        **{"model.output.price": "[null, 1]", "model.output.kind": "[null, 4]"},
        **{"loss.price": f"{HERE}:own_loss", "loss.kind": "CategoricalCrossentropy"},
        **{"loss.kind.from_logits": "true", "loss.kind.label_smoothing": "0.1"},
        **{"loss.weights.price": "3.0", "loss.weights.kind": "0.5"},
        **{"metrics.price": "mae", "metrics.kind": f"CategoricalAccuracy, {HERE}:own_loss"},
        **{"optimizer": "Adam", "optimizer.learning_rate": "0.1", "optimizer.beta_2": "0.999"},
        **{"optimizer.epsilon": "1e-07", "optimizer.clipnorm": "1.0"},
    }
    assert expected.items() <= params.items()


def test_what_is_given_as_lists_goes_by_the_outputs_names_too():
    features = keras.Input((3,))
    model = keras.Model(features, [keras.layers.Dense(1, name=name)(features) for name in ("price", "size")])
    model.compile(loss=["mse", "mae"], loss_weights=[1, 2.5], metrics=[["mae"], ["mse", "mae"]])
    expected = {
        **{"loss.price": "mse", "loss.size": "mae", "loss.weights.price": "1", "loss.weights.size": "2.5"},
        **{"metrics.price": "mae", "metrics.size": "mse, mae"},
    }
    assert expected.items() <= params_of(model).items()


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (lambda y, y_pred: y - y_pred, "<lambda>"),
        (functools.partial(own_loss), f"{HERE}:own_loss"),
        (NoConfig(), f"{HERE}:NoConfig"),
        (keras.losses.mean_squared_error, "mean_squared_error"),
    ],
)
def test_a_loss_that_keras_cannot_serialise_is_named(two, loss, name):
    two.compile(loss={"price": loss, "kind": "mse"})
    params = params_of(two)
    assert params["loss.price"].endswith(name)
    assert params["loss.kind"] == "mse"


def test_a_loss_is_recorded_with_what_keras_leaves_out_of_its_configuration(one):
    one.compile(loss=keras.losses.Huber(delta=1.5))
    assert {"loss": "Huber", "loss.delta": "1.5"}.items() <= params_of(one).items()


def test_a_schedule_is_recorded_by_its_settings(one):
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 100, alpha=0.05)
    one.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(schedule)), loss="mse")
    params = params_of(one)
    expected = {
        **{"optimizer": "LossScaleOptimizer", "optimizer.inner_optimizer": "Adam"},
        **{"optimizer.inner_optimizer.learning_rate": "CosineDecay"},
        **{"optimizer.inner_optimizer.learning_rate.initial_learning_rate": "0.1"},
        **{"optimizer.inner_optimizer.learning_rate.decay_steps": "100"},
        **{"optimizer.inner_optimizer.learning_rate.alpha": "0.05"},
    }
    assert expected.items() <= params.items()


def test_of_a_schedule_without_a_configuration_what_can_be_read_is_recorded(one):
    one.compile(keras.optimizers.Adam(Warmup(), beta_1=0.8), loss="mse")
    params = params_of(one)
    expected = {
        **{"optimizer": "Adam", "optimizer.beta_1": "0.8", "optimizer.learning_rate": f"{HERE}:Warmup"},
        **{"optimizer.learning_rate.width": "64", "optimizer.learning_rate.steps": "4000"},
    }
    assert expected.items() <= params.items()


def test_a_learning_rate_that_is_a_lambda_is_recorded_as_that(one):
    one.compile(keras.optimizers.SGD(lambda: 0.1), loss="mse")
    assert params_of(one)["optimizer.learning_rate"] == "<lambda>"


def test_a_model_of_the_user_s_own_class_is_named_with_the_loss_that_it_computes():
    house = House()
    house.compile("adam")
    assert "model.parameters" not in params_of(house)  # nobody knows before it is built
    house(np.zeros((1, 3), np.float32))
    params = params_of(house)
    expected = {
        **{"model.class": f"{HERE}:House", "model.name": "house", "model.parameters": "8"},
        **{"model.compute_loss": f"{HERE}:House.compute_loss"},
    }
    assert expected.items() <= params.items()
    assert not {"loss", "model.train_step", "model.input"} & params.keys()
