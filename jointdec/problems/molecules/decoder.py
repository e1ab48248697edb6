"""The decoder as a Keras functional model, on any Keras backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from jointdec.objective.keras_formulation import Live
from jointdec.problems.building import POLICIES
from jointdec.problems.molecules.architecture import GRAM_WIDTH, Dense, Weights, architecture
from jointdec.problems.molecules.config import ModelConfig
from jointdec.problems.molecules.dot_gram import dot_gram
from jointdec.problems.molecules.sizes import EDGE_CLASSES, FEATURES, NODE_CLASSES, NODES


class LiveLeakyReLU(layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """x where x > 0, else alpha x, with a live alpha."""

    def __init__(self, alpha: Live, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        super().__init__(**options)
        self._alpha = alpha

    def call(self, x: Any) -> Any:  # noqa: ANN401 (a backend's tensor)
        """Any shape in, the same shape out."""
        return ops.where(x > 0, x, ops.cast(self._alpha.variable, x.dtype) * x)


Activation = Callable[..., layers.Layer]


def build_model(
    config: ModelConfig,
    precision: str,
    activation: Activation,
) -> keras.Model:
    """The decoder: (B, 135) -> {"nodes": (B, 9, 5), "edges": (B, 9, 9, 4)}, both logits.

    Args:
        config: the model's group of the configuration.
        precision: float32, float64, or bfloat16 and float16 (weights and heads in float32, the rest in half).
        activation: makes a fresh LeakyReLU layer, e.g. ``lambda **options: LiveLeakyReLU(alpha, **options)``.
    """
    arch, policy = architecture(config), POLICIES[precision]
    head = "float64" if precision == "float64" else "float32"

    def dense(x: Any, layer: Dense, dtype: str = policy) -> Any:  # noqa: ANN401 (a backend's tensor)
        # Keras never draws from it: the weights are set. Its own he_normal is truncated, see initial_weights
        options = {"kernel_initializer": config.initializer, "dtype": policy, "name": layer.name}
        return activation(name=f"{layer.name}_leaky_relu", dtype=dtype)(layers.Dense(layer.units, **options)(x))

    features = layers.Input((FEATURES,), name="features", dtype=head)
    x = features
    for layer in arch.trunk:
        x = dense(x, layer)
    nodes = edges = x
    for layer in arch.nodes:
        nodes = dense(nodes, layer, head if layer is arch.nodes[-1] else policy)
    for layer in arch.edges:
        edges = dense(edges, layer)

    edges = layers.Reshape((NODES, EDGE_CLASSES, GRAM_WIDTH), dtype=policy, name="edges_x")(edges)
    edges = layers.Permute((2, 1, 3), dtype=policy, name="edges_channels_first")(edges)
    gram = (dot_gram if config.name == "two_tower_dot" else batched_gram)(edges)
    if arch.mixing:
        edges = dense(layers.Flatten(dtype=policy, name="edges_gram")(gram), arch.mixing, head)
        edges = layers.Reshape((EDGE_CLASSES, NODES, NODES), dtype=head, name="edges_mixed")(edges)
    else:
        edges = activation(name="edges_gram_leaky_relu", dtype=head)(gram)
    return keras.Model(
        inputs=features,
        outputs={
            "nodes": layers.Reshape((NODES, NODE_CLASSES), dtype=head, name="nodes")(nodes),
            "edges": layers.Permute((2, 3, 1), dtype=head, name="edges")(edges),
        },
        name=config.name,
    )


def batched_gram(x: Any) -> Any:  # noqa: ANN401 (a backend's tensor)
    """X X^T of each molecule and channel: (B, 4, 9, 15) -> (B, 4, 9, 9)."""
    return ops.matmul(x, ops.transpose(x, (0, 1, 3, 2)))


def model_variables(model: keras.Model, config: ModelConfig) -> dict[str, keras.Variable]:
    """The trainable variables by canonical name, in canonical order."""
    variables = {}
    for dense in architecture(config).layers:
        layer = model.get_layer(dense.name)
        variables[f"{dense.name}/kernel"] = layer.kernel
        variables[f"{dense.name}/bias"] = layer.bias
    return variables


def stock_model(config: ModelConfig, precision: str, weights: Weights) -> keras.Model:
    """The same network from Keras's own layers alone, alpha a constant: it loads without jointdec."""

    def activation(**options: Any) -> layers.Layer:  # noqa: ANN401 (Keras's own keywords)
        return layers.LeakyReLU(negative_slope=config.alpha, **options)

    model = build_model(config, precision, activation)
    for name, variable in model_variables(model, config).items():
        variable.assign(weights[name])
    return model
