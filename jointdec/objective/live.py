"""A scalar that can change between two epochs without another compilation."""

from __future__ import annotations

import keras


class Live:
    """Holds a Keras variable but is no layer or variable itself.

    So Keras does not count it among a model's weights, and the parameter counts stay those of the network. Only
    TensorFlow reads it anew in a compiled program; JAX bakes the value of the first trace in, so there a new value
    needs a new model.
    """

    def __init__(self, value: float, dtype: str, name: str) -> None:
        self.variable = keras.Variable(value, trainable=False, dtype=dtype, name=name)

    def set(self, value: float) -> None:
        """Give it another value."""
        self.variable.assign(value)
