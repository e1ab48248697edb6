"""The first step that is not finite of a training of the user's own model: its number, rows, names and state.

One example is made to spoil its step, so what is to be found is known; the state that the step started from is compared
with that of a training by Keras that ends before it.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import jointdec

N, BATCH, EPOCHS = 20, 4, 3  # 5 steps an epoch
rng = np.random.default_rng(0)
X = rng.normal(size=(N, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
BAD = 14  # the row that spoils its step: step 3 of an epoch without shuffling
SPOILT = X.copy()
SPOILT[BAD, 0] = 100.0  # by which the layers below know it


class Spoils(keras.layers.Layer):
    """Passes on what it gets, and of a row that begins with 100 makes a NaN: in the loss, or in the gradient alone."""

    def __init__(self, part, from_update=0, **options):
        super().__init__(**options)
        self.part, self.from_update = part, from_update

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1],), initializer="ones", name="kernel")
        self.updates = self.add_weight(shape=(), initializer="zeros", trainable=False, name="updates")

    def call(self, x, training=False):
        bad = keras.ops.any(x[:, :1] == 100.0) & (self.updates >= self.from_update)
        if training:
            self.updates.assign_add(1.0)
        part = self.part

        @tf.custom_gradient
        def spoil(values):
            poison = tf.where(bad, np.nan, 0.0)
            return values + (poison if part == "loss" else 0.0), lambda g: g + (poison if part == "gradient" else 0.0)

        return spoil(keras.ops.minimum(x, 1.0) * self.kernel)


class SpoilsVariables(keras.optimizers.SGD):
    """Writes NaN into a weight in its fourth update, of a gradient that is finite."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient, variable, learning_rate)
        if variable.shape == (3, 1):  # last/kernel; a layer's name is not known here
            variable.assign_add(keras.ops.where(self.iterations == 3, np.nan, 0.0) * keras.ops.ones_like(variable))


def make_model(part="loss", optimizer=None, **options):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    hidden = keras.layers.BatchNormalization(name="norm")(Spoils(part, name="spoils", **options)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1, name="last")(keras.layers.Dropout(0.3)(hidden)))
    model.compile(optimizer or keras.optimizers.SGD(0.01, momentum=0.9), "mse", metrics=["mae"])
    return model


def fit(model, x=SPOILT, **options):
    settings = {"epochs": EPOCHS, "batch_size": BATCH, "shuffle": False, "jit": False, "tracking": "none", "verbose": 0}
    return jointdec.fit(model, x, Y, **settings | options)


@functools.cache
def stopped(part, **options):
    model = make_model(part, SpoilsVariables(0.01) if part == "update" else None)
    return fit(model, **options), model


def keras_until(step, part):
    """The model that Keras has trained on the batches before a step of the first epoch."""
    model = make_model(part, SpoilsVariables(0.01) if part == "update" else None)
    model.fit(SPOILT[: step * BATCH], Y[: step * BATCH], batch_size=BATCH, shuffle=False, verbose=0)
    return model


PARTS = {"loss": ("loss",), "gradient": ("spoils",), "update": ("last/kernel",)}


@pytest.mark.parametrize(("part", "names"), PARTS.items())
def test_the_step_its_rows_and_what_was_not_finite_are_found(part, names):
    run, _ = stopped(part)
    divergence = run.divergence
    assert run.outcome == "diverged"
    assert (divergence.step, divergence.epoch, divergence.part, divergence.names) == (3, 0, part, names)
    assert divergence.batch.tolist() == [12, 13, 14, 15]
    assert divergence.sentence.startswith("In step 3 (epoch 0) ")
    assert all(name in divergence.sentence for name in names)
    assert list(run.steps.index) == [0, 1, 2, 3]
    assert np.isfinite(run.steps["loss"][:3]).all()
    assert np.isfinite(run.steps["loss"][3]) == (part != "loss")
    assert run.epoch == [0]


@pytest.mark.parametrize("part", PARTS)
def test_the_model_and_the_state_are_those_that_the_bad_step_started_from(part):
    run, model = stopped(part)
    expected = keras_until(3, part)
    for ours, theirs in zip(
        (*model.variables, *model.optimizer.variables),
        (*expected.variables, *expected.optimizer.variables),
        strict=True,
    ):
        # a few roundings of float32
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7, err_msg=ours.path)
    for variable in (*model.variables, *model.optimizer.variables):
        np.testing.assert_array_equal(run.divergence.state[variable.path], variable.numpy())


def test_a_state_of_the_record_taken_on_with_meets_the_same_nan_again():
    run, model = stopped("loss")
    rows = run.divergence.batch
    assert np.isnan(model.train_on_batch(SPOILT[rows], Y[rows])[0])


@pytest.mark.parametrize("shuffle", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_rows_are_those_of_the_user_s_arrays(shuffle):
    run = fit(make_model(), shuffle=shuffle, validation_split=0.2)
    assert BAD in run.divergence.batch
    assert len(run.divergence.batch) == BATCH


@pytest.mark.slow
def test_the_incomplete_last_batch_is_found_too():
    spoilt = np.concatenate([X, SPOILT[BAD : BAD + 1]])
    model = make_model()
    run = jointdec.fit(
        model,
        spoilt,
        np.concatenate([Y, Y[:1]]),
        batch_size=BATCH,
        shuffle=False,
        jit=False,
        tracking="none",
        verbose=0,
    )
    assert (run.divergence.step, run.divergence.batch.tolist()) == (5, [20])


@pytest.mark.parametrize("memory", [3 * 2 * BATCH * 16, pytest.param(3 * BATCH * 16, marks=pytest.mark.slow)])
def test_streamed_data_are_searched_as_resident_ones(memory):
    run = fit(make_model("gradient"), memory=memory)
    assert (run.divergence.step, run.divergence.names, run.divergence.batch.tolist()) == (
        3,
        ("spoils",),
        [12, 13, 14, 15],
    )


def test_a_data_set_has_the_step_but_no_rows():
    data = tf.data.Dataset.from_tensor_slices((SPOILT, Y)).batch(BATCH)
    run = jointdec.fit(make_model(), data, epochs=2, jit=False, tracking="none", verbose=0)
    assert (run.divergence.step, run.divergence.batch.tolist()) == (3, [])


@pytest.mark.slow
def test_a_later_epoch_is_counted_in_steps_of_the_whole_training():
    run = fit(make_model("loss", from_update=7), epochs=4)
    assert (run.divergence.step, run.divergence.epoch) == (8, 1)
    assert run.epoch == [0, 1]
    assert len(run.steps) == 9


def test_an_epoch_of_which_no_step_counts_has_no_loss():
    """Keras's mean of nothing is 0, which a callback would take for the best loss of all."""
    model = make_model("loss", from_update=5)
    spoilt = X.copy()
    spoilt[0, 0] = 100.0
    run = fit(model, spoilt)
    assert run.divergence.step == 5
    assert np.isfinite(run.history["loss"][0])
    assert np.isnan(run.history["loss"][1])
    assert np.isnan(run.epochs["train/loss"][1])


def test_skipping_drops_the_batch_and_goes_on():
    """As if that batch had not been there."""
    model = make_model()
    run = fit(model, on_divergence="skip", epochs=1)
    assert run.outcome == "finished"
    assert run.divergence is None
    assert len(run.steps) == 5
    others = np.delete(np.arange(N), [12, 13, 14, 15])
    expected = make_model()
    history = expected.fit(SPOILT[others], Y[others], batch_size=BATCH, shuffle=False, verbose=0)
    for ours, theirs in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7, err_msg=ours.path)
    assert run.history["loss"] == pytest.approx(history.history["loss"], rel=1e-6)


@pytest.mark.slow
def test_skipping_ends_after_ten_batches():
    spoilt = X.copy()
    spoilt[:, 0] = 100.0
    run = fit(make_model(), spoilt, on_divergence="skip")
    assert run.outcome == "diverged"
    assert run.divergence.step == 10
    assert np.isnan(run.history["loss"]).all()


def test_skipping_does_not_help_where_an_update_is_bad_by_itself():
    run, _ = stopped("update", on_divergence="skip")
    assert (run.outcome, run.divergence.step, run.divergence.part) == ("diverged", 3, "update")


@pytest.mark.parametrize(
    "part", ["gradient", *(pytest.param(part, marks=pytest.mark.slow) for part in ("loss", "update"))]
)
def test_continuing_trains_as_keras_does_and_still_tells_the_first_bad_step(part):
    run, model = stopped(part, on_divergence="continue")
    assert run.epoch == [0, 1, 2]
    assert len(run.steps) == 15
    assert run.outcome == "diverged"
    assert (run.divergence.step, run.divergence.part, run.divergence.names) == (3, part, PARTS[part])
    expected = make_model(part, SpoilsVariables(0.01) if part == "update" else None)
    history = expected.fit(SPOILT, Y, epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0)
    np.testing.assert_allclose(run.history["loss"], history.history["loss"], rtol=1e-6)
    for ours, theirs in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7, err_msg=ours.path)
    stop, _ = stopped(part)
    states = (run.divergence.state, stop.divergence.state)
    for (path, value), other in zip(states[0].values.items(), states[1].values.values(), strict=True):
        np.testing.assert_array_equal(np.asarray(value), np.asarray(other), err_msg=path)


def test_float16_s_skipped_updates_are_no_divergence():
    """A loss scale that is too large at first makes Inf in gradients until it is halved often enough."""
    policy = keras.mixed_precision.DTypePolicy("mixed_float16")
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, dtype=policy), keras.layers.Dense(1, dtype="float32")]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**24)
    model.compile(optimizer, "mse")
    run = fit(model, X, norms=1)
    assert run.outcome == "finished"
    assert float(optimizer.dynamic_scale.numpy()) < 2.0**24
    assert (run.norms["grad_norm"] == 0).any()


def test_of_several_outputs_the_one_whose_loss_went_is_named():
    inputs = keras.Input((3,))
    hidden = Spoils("loss", name="spoils")(inputs)
    model = keras.Model(
        inputs, {name: keras.layers.Dense(1, name=name)(x) for name, x in {"a": inputs, "b": hidden}.items()}
    )
    model.compile("sgd", {"a": "mse", "b": "mse"})
    x = SPOILT / 100.0
    x[BAD, 0] = 100.0
    run = jointdec.fit(
        model, x, {"a": Y, "b": Y}, shuffle=False, batch_size=BATCH, jit=False, tracking="none", verbose=0
    )
    assert run.divergence.names == ("loss", "b")


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_compiled_by_xla_the_same_step_is_found(part):
    run, _ = stopped(part, jit=True)
    assert (run.divergence.step, run.divergence.part, run.divergence.names) == (3, part, PARTS[part])
