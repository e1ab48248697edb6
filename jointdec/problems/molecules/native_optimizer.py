"""Adam, plain gradient descent and the loss scale of ``loss=tf_native``, in TensorFlow alone.

All other formulations have Keras's own; these are here since nothing of Keras is to be in that program. Variables have
the names of Keras's, so that a state of the one can be gone on from by the other.

Adam: Kingma & Ba 2015, "Adam: A Method for Stochastic Optimization", in the form of its section 2 that TensorFlow 1
and Keras use ("epsilon hat"): with gradient g at step t = 1, 2, ...

    m <- m + (1 - b1) (g - m),   v <- v + (1 - b2) (g^2 - v)
    theta <- theta - lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)

The loss scale: Micikevicius et al. 2018, "Mixed Precision Training", section 3.2, with the constants of Keras's
LossScaleOptimizer: start at 2^15, double after 2000 steps with a finite gradient, halve (and skip the update) after one
without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from jointdec.config import BETA_1, BETA_2, AdamConfig, OptimizerConfig
from jointdec.training.state import moment_path

Tensor = Any  # TensorFlow has no types
INITIAL_SCALE = 2.0**15
GROWTH_STEPS = 2000


class NativeOptimizer:
    """The optimizer's state and its step.

    Args:
        variables: tf.Variables by canonical name, all of one dtype.
        config: the learning rate, and Adam's epsilon, which is added to sqrt(v).

    Attributes:
        state: what a step changes besides the variables, by Keras's paths.
    """

    def __init__(self, variables: Mapping[str, Tensor], config: OptimizerConfig) -> None:
        self._variables = dict(variables)
        self._adam = isinstance(config, AdamConfig)
        dtype = next(iter(self._variables.values())).dtype
        self._iterations = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._learning_rate = tf.Variable(config.learning_rate, trainable=False, dtype=dtype)
        self._epsilon = tf.Variable(0.0, trainable=False, dtype=dtype)
        self.state = {f"{config.name}/iteration": self._iterations, f"{config.name}/learning_rate": self._learning_rate}
        for name, variable in self._variables.items() if self._adam else ():
            for moment in ("momentum", "velocity"):
                self.state[moment_path(name, moment)] = tf.Variable(tf.zeros_like(variable), trainable=False)
        self.set_live(config)

    def set_live(self, config: OptimizerConfig) -> None:
        """Go on with other values; a program that is compiled uses them."""
        self._learning_rate.assign(config.learning_rate)
        if isinstance(config, AdamConfig):
            self._epsilon.assign(config.epsilon)

    def apply(self, gradients: Sequence[Tensor], keep: Tensor = None) -> None:
        """Take one step; where the scalar boolean ``keep`` is given and false, change nothing."""
        t = self._iterations + 1
        for (name, variable), gradient in zip(self._variables.items(), gradients, strict=True):
            update = self._adam_update(name, gradient, t, keep) if self._adam else self._learning_rate * gradient
            _assign(variable, variable - update, keep)
        _assign(self._iterations, t, keep)

    def _adam_update(self, name: str, gradient: Tensor, t: Tensor, keep: Tensor) -> Tensor:
        power = tf.cast(t, self._learning_rate.dtype)
        rate = self._learning_rate * tf.sqrt(1 - BETA_2**power) / (1 - BETA_1**power)
        first, second = (self.state[moment_path(name, moment)] for moment in ("momentum", "velocity"))
        m = first + (1 - BETA_1) * (gradient - first)
        v = second + (1 - BETA_2) * (tf.square(gradient) - second)
        _assign(first, m, keep)
        _assign(second, v, keep)
        return rate * m / (tf.sqrt(v) + self._epsilon)


class LossScale:
    """The scale, as state of the program.

    Attributes:
        value: what the loss is multiplied by before the backward pass.
        state: both variables, by Keras's paths.
    """

    def __init__(self) -> None:
        self.value = tf.Variable(INITIAL_SCALE, trainable=False)
        self._good_steps = tf.Variable(0, trainable=False, dtype=tf.int64)
        self.state = {
            "loss_scale_optimizer/step_counter": self._good_steps,
            "loss_scale_optimizer/dynamic_scale": self.value,
        }

    def adjust(self, finite: Tensor) -> None:
        """Move the scale after a step whose gradients were all finite or not."""
        none = tf.zeros((), tf.int64)
        good = tf.where(finite, self._good_steps + 1, none)
        grown = tf.where(good >= GROWTH_STEPS, self.value * 2, self.value)
        self.value.assign(tf.where(finite, grown, self.value / 2))
        self._good_steps.assign(tf.where(good >= GROWTH_STEPS, none, good))


def _assign(variable: Tensor, value: Tensor, keep: Tensor) -> None:
    variable.assign(value if keep is None else tf.where(keep, value, variable))
