"""Plain gradient descent for the compiled program: theta <- theta - lr g, with a live learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from jointdec.config import OptimizerConfig


class Sgd:
    """The optimizer's state and its step.

    Args:
        variables: tf.Variables, all of one dtype.
        config: the learning rate.

    Attributes:
        slots: empty; there are no moments.
        iterations: updates taken, a tf.Variable.
    """

    def __init__(self, variables: Sequence[Any], config: OptimizerConfig) -> None:
        self._variables = list(variables)
        self.slots: dict[str, list[Any]] = {}
        self.iterations = tf.Variable(0, trainable=False, dtype=tf.int64)
        self._learning_rate = tf.Variable(config.learning_rate, trainable=False, dtype=self._variables[0].dtype)

    def set_live(self, config: OptimizerConfig) -> None:
        """Go on with another value; a program that is compiled uses it."""
        self._learning_rate.assign(config.learning_rate)

    def apply(self, gradients: Sequence[Any], keep: Any = None) -> None:  # noqa: ANN401 (a tensor)
        """Take one step; where the scalar boolean ``keep`` is given and false, change nothing."""
        for variable, gradient in zip(self._variables, gradients, strict=True):
            update = self._learning_rate * gradient
            variable.assign_sub(update if keep is None else tf.where(keep, update, tf.zeros_like(update)))
        self.iterations.assign_add(1 if keep is None else tf.cast(keep, tf.int64))
