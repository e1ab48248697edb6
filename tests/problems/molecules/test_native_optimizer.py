"""``loss=tf_native``'s own Adam, gradient descent and loss scale: against their formulas, and against Keras's own."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from jointdec.config import AdamConfig, OptimizerConfig
from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules import native_optimizer
from jointdec.problems.molecules.native_optimizer import LossScale, NativeOptimizer
from jointdec.problems.molecules.native_step import NativeStep
from jointdec.training.problem_loop import CompiledTraining

SHAPES = {"layer/kernel": (3, 4), "layer/bias": (5,)}
RATE, EPSILON = 0.01, 1e-8
ADAM, SGD = AdamConfig("adam", RATE, EPSILON), OptimizerConfig("sgd", learning_rate=RATE)


def gradients_of(step):
    """Some large, some tiny, some 0: the tiny ones show where epsilon stands."""
    rng = np.random.default_rng(step)
    gradients = [rng.normal(size=shape) * 10.0 ** rng.integers(-10, 3, shape) for shape in SHAPES.values()]
    gradients[1][0] = 0
    return gradients


def adam_by_formula(start, steps):
    """Kingma & Ba 2015, the form before section 2.1: theta -= alpha_t m / (sqrt(v) + epsilon_hat)."""
    thetas = [theta.copy() for theta in start]
    m, v = ([np.zeros(shape) for shape in SHAPES.values()] for _ in range(2))
    for t in range(1, steps + 1):
        rate = RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for i, g in enumerate(gradients_of(t)):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2
            thetas[i] -= rate * m[i] / (np.sqrt(v[i]) + EPSILON)
    return thetas


@pytest.fixture
def start():
    return [np.random.default_rng(7).normal(size=shape) for shape in SHAPES.values()]


def variables_of(start, dtype="float64"):
    return dict(zip(SHAPES, (tf.Variable(theta, dtype=dtype) for theta in start), strict=True))


@pytest.mark.parametrize("jit", [False, True])
def test_ten_steps_of_adam_are_those_of_the_formula_in_float64(start, jit):
    variables = variables_of(start)
    adam = NativeOptimizer(variables, ADAM)
    step = tf.function(lambda *gradients: adam.apply(gradients), jit_compile=jit)
    for t in range(1, 11):
        step(*gradients_of(t))
    for variable, expected in zip(variables.values(), adam_by_formula(start, 10), strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_kerass_own_adam_and_its_state_has_the_same_names(start, dtype):
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)  # Keras's learning rate is a variable of that type
    ours = variables_of(start, dtype)
    layer = keras.layers.Layer(name="layer")  # for the variables' paths
    theirs = [
        layer.add_weight(shape=shape, dtype=dtype, name=name.rpartition("/")[2], initializer="zeros")
        for name, shape in SHAPES.items()
    ]
    for variable, value in zip(theirs, start, strict=True):
        variable.assign(value)
    adam = NativeOptimizer(ours, ADAM)
    number = np.dtype(dtype).type  # Keras turns Python floats into float32
    keras_adam = keras.optimizers.Adam(RATE, beta_1=number(0.9), beta_2=number(0.999), epsilon=EPSILON, name="adam")
    keras_adam.build(theirs)
    for t in range(1, 11):
        gradients = [tf.constant(gradient, dtype) for gradient in gradients_of(t)]
        adam.apply(gradients)
        keras_adam.apply(gradients)
    keras.config.set_floatx(before)
    for mine, other in zip(ours.values(), theirs, strict=True):
        rounding = np.finfo(dtype).eps
        np.testing.assert_allclose(mine.numpy(), np.asarray(other), rtol=8 * rounding, atol=8 * rounding)
    known = {variable.path: np.asarray(variable) for variable in keras_adam.variables}
    assert set(adam.state) == set(known)
    for path, variable in adam.state.items():
        assert variable.shape == known[path].shape, path


@pytest.mark.parametrize("jit", [False, True])
def test_steps_of_gradient_descent_are_those_of_the_formula_and_of_kerass_own(start, jit):
    ours, theirs = variables_of(start), [keras.Variable(value, dtype="float64") for value in start]
    sgd, keras_sgd = NativeOptimizer(ours, SGD), keras.optimizers.SGD(RATE)
    keras_sgd.build(theirs)
    step = tf.function(lambda *gradients: sgd.apply(gradients), jit_compile=jit)
    for t in range(1, 6):
        step(*gradients_of(t))
        keras_sgd.apply([tf.constant(gradient) for gradient in gradients_of(t)])
    for number, variable in enumerate(ours.values()):
        gradients = [gradients_of(t)[number] for t in range(1, 6)]
        rounding = 1e-14 * (1 + sum(map(np.abs, gradients)))
        expected = start[number] - RATE * sum(gradients)
        assert (np.abs(variable.numpy() - expected) <= rounding).all()
        # its rate is a float32 variable
        np.testing.assert_allclose(theirs[number].numpy() - start[number], expected - start[number], rtol=1e-7)
    assert int(sgd.state["sgd/iteration"].numpy()) == 5
    assert set(sgd.state) == {"sgd/iteration", "sgd/learning_rate"}


def test_the_learning_rate_is_live_in_a_compiled_step(start):
    variables = variables_of(start)
    adam = NativeOptimizer(variables, ADAM)
    step = tf.function(lambda *gradients: adam.apply(gradients), jit_compile=True)
    step(*gradients_of(1))
    adam.set_live(AdamConfig("adam", 0.0, EPSILON))
    before = [variable.numpy() for variable in variables.values()]
    step(*gradients_of(2))
    for variable, kept in zip(variables.values(), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), kept)


def test_a_step_that_is_not_kept_changes_neither_weights_nor_state(start):
    variables = variables_of(start)
    adam = NativeOptimizer(variables, ADAM)
    poison = [np.full(shape, np.inf) for shape in SHAPES.values()]
    for t in range(1, 11):
        adam.apply(poison, keep=tf.constant(False))
        adam.apply(gradients_of(t), keep=tf.constant(True))
    for variable, expected in zip(variables.values(), adam_by_formula(start, 10), strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-13, atol=1e-15)


def test_a_step_of_gradient_descent_that_is_not_kept_changes_nothing(start):
    variables = variables_of(start)
    sgd = NativeOptimizer(variables, SGD)
    sgd.apply([np.full(shape, np.nan) for shape in SHAPES.values()], keep=tf.constant(False))
    for variable, value in zip(variables.values(), start, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert int(sgd.state["sgd/iteration"].numpy()) == 0


@pytest.fixture
def small_constants(monkeypatch):
    monkeypatch.setattr(native_optimizer, "INITIAL_SCALE", 8.0)
    monkeypatch.setattr(native_optimizer, "GROWTH_STEPS", 3)


@pytest.mark.usefixtures("small_constants")
@pytest.mark.parametrize("jit", [False, True])
def test_the_scale_halves_after_an_overflow_and_doubles_after_enough_good_steps_in_a_row(jit):
    scale = LossScale()
    adjust = tf.function(scale.adjust, jit_compile=jit)
    finite = [True, True, False, True, True, True, True, False, False, True, True, True]
    expected = [8, 8, 4, 4, 4, 8, 8, 4, 2, 2, 2, 4]
    seen = []
    for value in finite:
        adjust(tf.constant(value))
        seen.append(float(scale.value.numpy()))
    assert seen == expected


@pytest.mark.usefixtures("small_constants")
def test_the_scale_is_that_of_kerass_own_whatever_happens_below_1_too():
    ours, variable = LossScale(), keras.Variable(1.0)
    theirs = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.0), initial_scale=8.0, dynamic_growth_steps=3, name="loss_scale_optimizer"
    )
    theirs.build([variable])
    known = {each.path: each for each in theirs.variables}
    for finite in [*[True] * 7, *[False] * 9, *(np.random.default_rng(0).random(60) < 0.7)]:
        ours.adjust(tf.constant(bool(finite)))
        theirs.apply([tf.constant(1.0 if finite else np.inf)])
        for path, mine in ours.state.items():
            assert float(mine.numpy()) == float(np.asarray(known[path])), path


class Tiny:
    """A loss whose gradient, 1e-8, is nothing in float16 unless the loss is scaled before the backward pass."""

    def __init__(self):
        self.variables = {"layer/kernel": tf.Variable(3.0), "layer/bias": tf.Variable(0.0)}

    def heads(self, features):
        return features

    def loss(self, labels, heads):
        half = tf.cast(self.variables["layer/kernel"], "float16") * tf.constant(1e-4, "float16")
        loss = tf.cast(half * tf.constant(1e-4, "float16"), "float32") + 0 * self.variables["layer/bias"]
        return {"loss": loss, "nodes": loss, "edges": loss}


@pytest.mark.parametrize(("scale", "seen"), [(1.0, False), (2.0**15, True), (2.0**10, True)])
def test_the_loss_is_scaled_before_the_backward_pass_and_the_gradient_unscaled_after(
    make_config, monkeypatch, scale, seen
):
    monkeypatch.setattr(native_optimizer, "INITIAL_SCALE", scale)
    config = make_config("loss=tf_native", "training.precision=float16", "optimizer=sgd", "optimizer.learning_rate=1")
    toy = Tiny()
    step = NativeStep(toy, config, lambda batch: batch)
    row, norms = step.trace(None)((None, None), tf.constant(True))
    assert np.isfinite(row).all()  # and not scaled
    gradient = float(norms[0].numpy())
    assert gradient == pytest.approx(1e-8 if seen else 0, rel=2e-2)  # 1e-4 in float16, twice
    assert float(toy.variables["layer/kernel"].numpy()) == 3 - np.float32(gradient)


@pytest.fixture
def train(make_config, make_dataset):
    def run(scale, monkeypatch, features=None, on_divergence="stop"):
        monkeypatch.setattr(native_optimizer, "INITIAL_SCALE", scale)
        dataset = make_dataset(30)
        if features is not None:
            dataset = replace(dataset, train=replace(dataset.train, x=features(dataset.train.x)))
        config = make_config(
            "loss=tf_native",
            "model.tower=[8]",
            "training.batch_size=10",
            "training.precision=float16",
            "training.jit=false",
            "training.norms=1",
            f"training.on_divergence={on_divergence}",
        )
        formulation = make_formulation(config)
        start = formulation.get_weights()
        training = CompiledTraining(config, formulation, dataset)
        results = [training.run_epoch(epoch) for epoch in range(2)]
        end = float(training.state()["loss_scale_optimizer/dynamic_scale"])
        return results, start, formulation.get_weights(), end

    return run


def test_steps_that_overflow_are_skipped_with_norm_0_until_the_scale_fits(train, monkeypatch):
    results, start, end, scale = train(2.0**24, monkeypatch)
    norms = np.concatenate([result.norms["grad_norm"] for result in results])
    losses = np.concatenate([result.steps["loss"] for result in results])
    skipped = int((norms == 0).sum())
    assert 0 < skipped < 6
    assert (norms[:skipped] == 0).all()
    assert (norms[skipped:] > 0).all()
    assert np.isfinite(losses).all()
    assert results[0].diverged_at is None
    assert scale == 2.0 ** (24 - skipped)
    assert any((end[name] != value).any() for name, value in start.items())


def test_while_every_step_overflows_the_weights_stay_bit_for_bit(train, monkeypatch):
    results, start, end, scale = train(2.0**60, monkeypatch)
    assert all((result.norms["grad_norm"] == 0).all() for result in results)
    assert scale == 2.0**54
    for name, value in start.items():
        np.testing.assert_array_equal(end[name], value)


def test_a_nan_of_the_features_is_reported_as_nan_and_does_not_hide_as_an_overflow(train, monkeypatch):
    def all_nan(features):
        return np.full_like(features, np.nan)

    for scale in (1.0, 4.0):
        results, *_ = train(scale, monkeypatch, all_nan, "continue")
        assert results[0].diverged_at == 0  # the loss says so at once, whatever the scale
        assert np.isnan(results[0].steps["loss"]).all()
        assert (results[0].norms["grad_norm"] == 0).all()  # of updates that were not made
