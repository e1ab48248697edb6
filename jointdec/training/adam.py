"""Adam for the compiled program: plain TensorFlow, no Keras, every hyperparameter that a sweep turns is live.

Kingma & Ba 2015, "Adam: A Method for Stochastic Optimization", in the form of its section 2 that TensorFlow 1
and Keras use ("epsilon hat"): with gradient g at step t = 1, 2, ...

    m <- m + (1 - b1) (g - m),   v <- v + (1 - b2) (g^2 - v)
    theta <- theta - lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + epsilon)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from jointdec.config import BETA_1, BETA_2, AdamConfig, OptimizerConfig


class Adam:
    """The optimizer's state and its step.

    Args:
        variables: tf.Variables, all of one dtype.
        config: learning rate and epsilon, which is added to sqrt(v).

    Attributes:
        slots: the moments m as ``first`` and v as ``second``, a tf.Variable for each variable.
        iterations: updates taken, a tf.Variable.
    """

    def __init__(self, variables: Sequence[Any], config: AdamConfig) -> None:
        self._variables = list(variables)
        dtype = self._variables[0].dtype
        self.slots = {
            name: [tf.Variable(tf.zeros_like(v), trainable=False) for v in self._variables]
            for name in ("first", "second")
        }
        self.iterations = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._learning_rate = tf.Variable(config.learning_rate, trainable=False, dtype=dtype)
        self._epsilon = tf.Variable(config.epsilon, trainable=False, dtype=dtype)

    def set_live(self, config: OptimizerConfig) -> None:
        """Go on with other values; a program that is compiled uses them."""
        assert isinstance(config, AdamConfig)
        self._learning_rate.assign(config.learning_rate)
        self._epsilon.assign(config.epsilon)

    def apply(self, gradients: Sequence[Any], keep: Any = None) -> None:  # noqa: ANN401 (a tensor)
        """Take one step; where the scalar boolean ``keep`` is given and false, change nothing."""
        t = self.iterations + 1
        power = tf.cast(t, self._learning_rate.dtype)
        rate = self._learning_rate * tf.sqrt(1 - BETA_2**power) / (1 - BETA_1**power)

        def assign(variable: Any, value: Any) -> None:  # noqa: ANN401 (TensorFlow has no types)
            variable.assign(value if keep is None else tf.where(keep, value, variable))

        for variable, first, second, gradient in zip(
            self._variables, self.slots["first"], self.slots["second"], gradients, strict=True
        ):
            m = first + (1 - BETA_1) * (gradient - first)
            v = second + (1 - BETA_2) * (tf.square(gradient) - second)
            assign(variable, variable - rate * m / (tf.sqrt(v) + self._epsilon))
            assign(first, m)
            assign(second, v)
        assign(self.iterations, t)
