"""What a formulation offers: how two heads' losses become one number to differentiate, and nothing else.

The training loops, the optimizer, the checkpoint and the metrics are shared and never ask which one it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.config import Config, ModelConfig
from jointdec.problems.molecules.architecture import Weights

CHUNK = 1024  # molecules at a time outside of training
Tensor = Any  # of the framework that the formulation is written in


class Formulation(ABC):
    """A decoder with its loss.

    Attributes:
        variables: the trainable variables (each with ``assign`` and ``shape``) by canonical name and in canonical
            order, see `jointdec.problems.molecules.architecture`.
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

    def logits(self, features: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.floating]]:
        """What `heads` says of any number of molecules, as arrays: ``nodes_logits`` and ``edges_logits``."""
        chunks = [self._numpy_heads(features[first : first + CHUNK]) for first in range(0, len(features), CHUNK)]
        return {f"{head}_logits": np.concatenate([chunk[head] for chunk in chunks]) for head in ("nodes", "edges")}

    def count_parameters(self) -> int:
        """The number of trainable numbers."""
        return sum(int(np.prod(variable.shape)) for variable in self.variables.values())

    def get_weights(self) -> Weights:
        """Copies of the trainable variables."""
        return {name: np.array(variable) for name, variable in self.variables.items()}

    def set_weights(self, weights: Weights) -> None:
        """Assign every trainable variable; a missing name raises KeyError."""
        for name, variable in self.variables.items():
            variable.assign(weights[name])

    def _numpy_heads(self, features: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.floating]]:
        return {head: np.asarray(logits) for head, logits in self.heads(features).items()}


def make_formulation(config: Config) -> Formulation:
    """The formulation that ``loss.name`` names, with the initial weights of ``seed``."""
    module, name = FORMULATIONS[config.loss.name]
    formulation: Formulation = getattr(import_module(f"jointdec.losses.{module}"), name)(config)
    return formulation


FORMULATIONS = {  # a module is imported when its formulation is asked for: not all run on every Keras backend
    "joint": ("joint", "Joint"),
    "split": ("split", "Split"),
    "tf_native": ("tf_native", "TfNative"),
    "zero_plus_total": ("zero_plus_total", "ZeroPlusTotal"),
    "mse": ("mse", "MeanSquaredError"),
    "tf1_graph": ("tf1_graph", "Tf1Graph"),
    "joint_indexed": ("specimens", "JointIndexed"),
    "split_indexed": ("specimens", "SplitIndexed"),
    "answer": ("specimens", "Answer"),
}
