"""What ``joint`` and ``split`` share: a Keras model whose compiled loss is the one to differentiate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from jointdec.config import Config, ModelConfig
from jointdec.objective.formulation import Formulation, Tensor
from jointdec.problems.molecules.cross_entropies import edge_cross_entropy, node_cross_entropy
from jointdec.problems.molecules.architecture import initial_weights
from jointdec.problems.molecules.decoder import Live, LiveLeakyReLU, build_model, model_variables


class RecordedModel(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A Keras model whose logs are each batch's own losses, ``loss``, ``nodes`` and ``edges``, and nothing else.

    Keras's own log of a loss is the running mean of the epoch.
    """

    def record(self, loss: Callable[[Tensor, Tensor], dict[str, Tensor]]) -> None:
        """Log what ``loss(labels, heads)`` returns."""
        self._loss_to_record = loss
        self.last_losses = {name: Last(name) for name in ("loss", "nodes", "edges")}

    def compute_metrics(self, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> dict[str, Any]:
        """What every backend's ``train_step`` calls at its end."""
        for name, value in self._loss_to_record(y, y_pred).items():
            self.last_losses[name].update_state(value)
        return {name: last.result() for name, last in self.last_losses.items()}


class Last(keras.metrics.Metric):  # type: ignore[misc]  # Keras ships no types
    """The last value, not a mean."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._value = self.add_variable((), initializer="zeros", name="value")

    def update_state(self, value: Tensor) -> None:
        """Take a scalar."""
        self._value.assign(value)

    def result(self) -> Tensor:
        """The scalar."""
        return ops.convert_to_tensor(self._value)


class KerasFormulation(Formulation):
    """A Keras model; a subclass says how its loss is made.

    Attributes:
        model_class: the Keras class of the model, for formulations that override ``compute_loss``.
        model: the Keras model, which `compile_model` has compiled.
        loss_weights: live weights of the heads.
    """

    model_class: type[RecordedModel] = RecordedModel

    def __init__(self, config: Config) -> None:
        dtype = "float64" if config.training.precision == "float64" else "float32"
        keras.config.set_floatx(dtype)  # compile(loss=...) casts to it, whatever the layers compute in
        self._alpha = Live(config.model.alpha, dtype, "alpha")
        self.loss_weights = {
            "nodes": Live(config.loss.weights.nodes, dtype, "loss_weight_nodes"),
            "edges": Live(config.loss.weights.edges, dtype, "loss_weight_edges"),
        }
        self.model = build_model(
            config.model,
            config.training.precision,
            lambda **options: LiveLeakyReLU(self._alpha, **options),
            self.model_class,
        )
        self.variables = model_variables(self.model, config.model)
        self.model.record(self.loss)
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
        return {"loss": self.model.compute_loss(y=labels, y_pred=heads), **self.head_losses(labels, heads)}

    def head_losses(self, labels: dict[str, Tensor], heads: dict[str, Tensor]) -> dict[str, Tensor]:
        """The curves ``nodes`` and ``edges``: each head's mean loss, unweighted; here the cross-entropies."""
        return {
            "nodes": ops.mean(node_cross_entropy(labels["nodes"], heads["nodes"])),
            "edges": ops.mean(edge_cross_entropy(labels["edges"], heads["edges"])),
        }

    def set_live(self, model: ModelConfig, weights: Mapping[str, float]) -> None:
        """See `Formulation.set_live`."""
        self._alpha.set(model.alpha)
        for head, weight in weights.items():
            self.loss_weights[head].set(weight)

    def _numpy_heads(self, features: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.floating]]:
        heads = self.model(features, training=False)
        return {head: ops.convert_to_numpy(logits) for head, logits in heads.items()}
