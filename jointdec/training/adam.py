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

from jointdec.config import BETA_1, BETA_2


class Adam:
    """The optimizer's state and its step.

    Args:
        variables: tf.Variables, all of one dtype.
        learning_rate, epsilon: initial values of the attributes of these names.

    Attributes:
        learning_rate: a tf.Variable.
        epsilon: added to sqrt(v); a tf.Variable.
        first, second: the moments m and v, a tf.Variable for each variable.
        iterations: updates taken, a tf.Variable.
    """

    def __init__(self, variables: Sequence[Any], learning_rate: float, epsilon: float) -> None:
        self._variables = list(variables)
        dtype = self._variables[0].dtype
        self.first = [tf.Variable(tf.zeros_like(v)) for v in self._variables]
        self.second = [tf.Variable(tf.zeros_like(v)) for v in self._variables]
        self.iterations = tf.Variable(0, dtype=tf.int64)
        self.learning_rate = tf.Variable(learning_rate, trainable=False, dtype=dtype)
        self.epsilon = tf.Variable(epsilon, trainable=False, dtype=dtype)

    def apply(self, gradients: Sequence[Any], keep: Any = None) -> None:  # noqa: ANN401 (a tensor)
        """Take one step; where the scalar boolean ``keep`` is given and false, change nothing."""
        t = self.iterations + 1
        power = tf.cast(t, self.learning_rate.dtype)
        rate = self.learning_rate * tf.sqrt(1 - BETA_2**power) / (1 - BETA_1**power)

        def assign(variable: Any, value: Any) -> None:  # noqa: ANN401 (TensorFlow has no types)
            variable.assign(value if keep is None else tf.where(keep, value, variable))

        for variable, first, second, gradient in zip(self._variables, self.first, self.second, gradients, strict=True):
            m = first + (1 - BETA_1) * (gradient - first)
            v = second + (1 - BETA_2) * (tf.square(gradient) - second)
            assign(variable, variable - rate * m / (tf.sqrt(v) + self.epsilon))
            assign(first, m)
            assign(second, v)
        assign(self.iterations, t)
