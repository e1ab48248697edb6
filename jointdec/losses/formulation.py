"""What a formulation offers: how two heads' losses become one number to differentiate, and nothing else.

The training loops, the optimizer, the checkpoint and the metrics are shared and never ask which one it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from jointdec.config import Config, ModelConfig
from jointdec.models.architecture import Weights

Tensor = Any  # of the framework that the formulation is written in


class Formulation(ABC):
    """A decoder with its loss.

    Attributes:
        variables: the trainable variables (each with ``assign`` and ``shape``) by canonical name and in canonical
            order, see `jointdec.models.architecture`.
    """

    variables: Mapping[str, Any]

    @abstractmethod
    def heads(self, features: Tensor) -> dict[str, Tensor]:
        """Logits of both heads: features (B, 135) -> nodes (B, 9, 5) and edges (B, 9, 9, 4)."""

    @abstractmethod
    def loss(self, labels: dict[str, Tensor], heads: dict[str, Tensor]) -> dict[str, Tensor]:
        """Scalars of one batch: ``loss`` (the one to differentiate), ``nodes`` and ``edges`` (unweighted).

        Args:
            labels: nodes (B, 9, 5) and edges (B, 9, 9, 4), in the logits' dtype.
            heads: what `heads` returned.
        """

    @abstractmethod
    def set_live(self, model: ModelConfig, weights: Mapping[str, float]) -> None:
        """Set alpha and the loss weights ``nodes`` and ``edges``: programs that are already compiled use them."""

    def get_weights(self) -> Weights:
        """Copies of the trainable variables."""
        return {name: np.array(variable) for name, variable in self.variables.items()}

    def set_weights(self, weights: Weights) -> None:
        """Assign every trainable variable; a missing name raises KeyError."""
        for name, variable in self.variables.items():
            variable.assign(weights[name])


def make_formulation(config: Config) -> Formulation:
    """The formulation that ``loss.name`` names, with the initial weights of ``seed``."""
    if config.loss.name == "tf_native":
        from jointdec.losses.tf_native import TfNative

        return TfNative(config)
    from jointdec.losses.joint import Joint
    from jointdec.losses.split import Split

    return Joint(config) if config.loss.name == "joint" else Split(config)
