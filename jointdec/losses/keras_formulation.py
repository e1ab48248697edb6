"""What ``joint`` and ``split`` share: a Keras model whose compiled loss is the one to differentiate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from jointdec.config import Config, ModelConfig
from jointdec.losses.formulation import Formulation, Tensor
from jointdec.losses.terms import edge_cross_entropy, node_cross_entropy
from jointdec.models.architecture import initial_weights
from jointdec.models.keras_model import Live, LiveLeakyReLU, build_model, model_variables


class KerasFormulation(Formulation):
    """A Keras model; a subclass says how its loss is made.

    Attributes:
        model: the Keras model, which `compile_model` has compiled.
        loss_weights: live weights of the heads.
    """

    def __init__(self, config: Config, model_class: type[keras.Model] = keras.Model) -> None:
        dtype = "float64" if config.training.precision == "float64" else "float32"
        keras.config.set_floatx(dtype)  # compile(loss=...) casts to it, whatever the layers compute in
        self._alpha = Live(config.model.alpha, dtype)
        self.loss_weights = {
            "nodes": Live(config.loss.weights.nodes, dtype),
            "edges": Live(config.loss.weights.edges, dtype),
        }
        self.model = build_model(
            config.model,
            config.training.precision,
            lambda **options: LiveLeakyReLU(self._alpha, **options),
            model_class,
        )
        self.variables = model_variables(self.model, config.model)
        self.set_weights(initial_weights(config.model, config.seed))
        self.compile_model()

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """Compile the model with this formulation's loss and Keras's other options (optimizer, metrics...)."""
        raise NotImplementedError

    def heads(self, features: Tensor) -> dict[str, Tensor]:
        """See `Formulation.heads`."""
        heads: dict[str, Tensor] = self.model(features, training=True)
        return heads

    def loss(self, labels: dict[str, Tensor], heads: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Formulation.loss`; the total is what the model's own ``compute_loss`` returns."""
        # The terms are computed a second time for the curves: XLA merges equal subexpressions, so they cost nothing.
        return {
            "loss": self.model.compute_loss(y=labels, y_pred=heads),
            "nodes": ops.mean(node_cross_entropy(labels["nodes"], heads["nodes"])),
            "edges": ops.mean(edge_cross_entropy(labels["edges"], heads["edges"])),
        }

    def set_live(self, model: ModelConfig, weights: Mapping[str, float]) -> None:
        """See `Formulation.set_live`."""
        self._alpha.set(model.alpha)
        for head, weight in weights.items():
            self.loss_weights[head].set(weight)
