import keras
import numpy as np
import pytest
import tensorflow as tf

from jointdec.config import AdamConfig
from jointdec.training.adam import Adam

SHAPES = [(3, 4), (5,)]
RATE, EPSILON = 0.01, 1e-8


def gradients_of(step):
    """Some large, some tiny, some 0: the tiny ones show where epsilon stands."""
    rng = np.random.default_rng(step)
    gradients = [rng.normal(size=shape) * 10.0 ** rng.integers(-10, 3, shape) for shape in SHAPES]
    gradients[1][0] = 0
    return gradients


def adam_by_formula(start, steps):
    """Kingma & Ba 2015, the form before section 2.1: theta -= alpha_t m / (sqrt(v) + epsilon_hat)."""
    thetas = [theta.copy() for theta in start]
    m, v = [np.zeros(shape) for shape in SHAPES], [np.zeros(shape) for shape in SHAPES]
    for t in range(1, steps + 1):
        rate = RATE * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        for i, g in enumerate(gradients_of(t)):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g**2
            thetas[i] -= rate * m[i] / (np.sqrt(v[i]) + EPSILON)
    return thetas


@pytest.fixture
def start():
    return [np.random.default_rng(7).normal(size=shape) for shape in SHAPES]


@pytest.mark.parametrize("jit", [False, True])
def test_ten_steps_are_those_of_the_formula_in_float64(start, jit):
    variables = [tf.Variable(theta) for theta in start]
    adam = Adam(variables, AdamConfig("adam", RATE, EPSILON))
    step = tf.function(lambda *gradients: adam.apply(gradients), jit_compile=jit)
    for t in range(1, 11):
        step(*gradients_of(t))
    for variable, expected in zip(variables, adam_by_formula(start, 10), strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_kerass_own_adam(start, dtype):
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)  # Keras's learning rate is a variable of that type
    ours = [tf.Variable(theta, dtype=dtype) for theta in start]
    theirs = [keras.Variable(theta, dtype=dtype) for theta in start]
    adam = Adam(ours, AdamConfig("adam", RATE, EPSILON))
    number = np.dtype(dtype).type  # Keras turns Python floats into float32
    keras_adam = keras.optimizers.Adam(RATE, beta_1=number(0.9), beta_2=number(0.999), epsilon=EPSILON)
    keras_adam.build(theirs)
    for t in range(1, 11):
        gradients = [tf.constant(gradient, dtype) for gradient in gradients_of(t)]
        adam.apply(gradients)
        keras_adam.apply(gradients)
    keras.config.set_floatx(before)
    for mine, other in zip(ours, theirs, strict=True):
        rounding = np.finfo(dtype).eps
        np.testing.assert_allclose(mine.numpy(), np.asarray(other), rtol=8 * rounding, atol=8 * rounding)


def test_the_learning_rate_is_live_in_a_compiled_step(start):
    variables = [tf.Variable(theta) for theta in start]
    adam = Adam(variables, AdamConfig("adam", RATE, EPSILON))
    step = tf.function(lambda *gradients: adam.apply(gradients), jit_compile=True)
    step(*gradients_of(1))
    adam.set_live(AdamConfig("adam", 0.0, EPSILON))
    before = [variable.numpy() for variable in variables]
    step(*gradients_of(2))
    for variable, kept in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), kept)


def test_a_step_that_is_not_kept_changes_neither_weights_nor_state(start):
    variables = [tf.Variable(theta) for theta in start]
    adam = Adam(variables, AdamConfig("adam", RATE, EPSILON))
    poison = [np.full(shape, np.inf) for shape in SHAPES]
    for t in range(1, 11):
        adam.apply(poison, keep=tf.constant(False))
        adam.apply(gradients_of(t), keep=tf.constant(True))
    for variable, expected in zip(variables, adam_by_formula(start, 10), strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-13, atol=1e-15)
