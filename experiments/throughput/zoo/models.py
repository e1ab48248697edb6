"""The eight models as anybody writes them in Keras, compiled."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from zoo.problem import (
    DROPOUT,
    EPSILON,
    HEADS,
    KEY,
    LEARNING_RATE,
    LOSS_WEIGHTS,
    MODELS,
    SHIFT,
    SHRINK,
    VOCABULARY,
    Zoo,
)

Tensor = Any  # TensorFlow has no types


class CustomStep(keras.Model):
    """A model with a train_step of its own: inputs shifted, and gradients scaled by hand."""

    def train_step(self, data: Any) -> dict[str, Tensor]:  # noqa: ANN401 (Keras's signature)
        """One step on a batch."""
        x, y, w = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            out = self({name: array + SHIFT for name, array in x.items()}, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=out, sample_weight=w)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply([SHRINK * gradient for gradient in gradients], self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return self.compute_metrics(x, y, out, sample_weight=w)


def compiled_model(problem: Zoo, **options: Any) -> keras.Model:  # noqa: ANN401 (those of Keras's compile)
    """The model with the problem's weights, ready for fit."""
    keras.utils.set_random_seed(0)
    kind = CustomStep if problem.model == "custom_step" else keras.Model
    dtype = "int32" if problem.model == "embedding" else "float32"
    inputs = {name: keras.Input(shape, dtype=dtype, name=name) for name, shape in MODELS[problem.model][0].items()}
    h = TRUNKS.get(problem.model, mlp)(*inputs.values())
    if problem.model == "mlp_dropout":
        h = layers.Dropout(DROPOUT)(h)
    model = kind(inputs, {"cls": layers.Dense(3, name="cls")(h), "reg": layers.Dense(1, name="reg")(h)})
    for variable in model.trainable_variables:
        variable.assign(problem.weights[variable.path])
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON),
        loss={"cls": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "reg": "mse"},
        loss_weights=LOSS_WEIGHTS,
        metrics={"cls": ["accuracy"]},
        **options,
    )
    return model


def mlp(x: Tensor) -> Tensor:
    """Dense, ReLU, batch normalisation; for mlp, mlp_dropout and custom_step."""
    return layers.BatchNormalization(name="norm")(layers.Dense(64, activation="relu", name="hidden")(x))


def two_inputs(a: Tensor, b: Tensor) -> Tensor:
    """Two inputs side by side, Dense, ReLU."""
    return layers.Dense(64, activation="relu", name="hidden")(layers.Concatenate()([a, b]))


def embedding(x: Tensor) -> Tensor:
    """The mean of 20 vectors."""
    return layers.GlobalAveragePooling1D()(layers.Embedding(VOCABULARY, 16, name="embedding")(x))


def lstm(x: Tensor) -> Tensor:
    """The last state of 20."""
    return layers.LSTM(32, name="lstm")(x)


def attention(x: Tensor) -> Tensor:
    """A block of self-attention with its residual and normalisation, then the mean."""
    h = layers.Dense(HEADS * KEY, name="hidden")(x)
    h = h + layers.MultiHeadAttention(HEADS, KEY, name="attention")(h, h)
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization(name="norm")(h))


def cnn(x: Tensor) -> Tensor:
    """Two convolutions with a pooling between them."""
    h = layers.Conv2D(16, 3, activation="relu", name="first")(x)
    h = layers.Conv2D(32, 3, activation="relu", name="second")(layers.MaxPooling2D()(h))
    return layers.Flatten()(h)


TRUNKS = {"two_inputs": two_inputs, "embedding": embedding, "lstm": lstm, "attention": attention, "cnn": cnn}
