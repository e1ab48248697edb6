"""The attempts that are right, in plain Keras with jointdec's two cross-entropies: what the page shows.

jointdec's own formulations, which take any heads, are held against them by a test.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from jointdec.problems.molecules.cross_entropies import Tensor, edge_cross_entropy, node_cross_entropy


def mse(model: keras.Model) -> None:
    """Squared errors of raw outputs against one-hot labels."""
    weights = {"nodes": 1.0, "edges": 2.0}
    model.compile(loss={"nodes": "mse", "edges": "mse"}, loss_weights=weights, optimizer="adam")


def split(model: keras.Model) -> None:
    """A loss a head."""
    model.compile(
        loss={"nodes": node_cross_entropy, "edges": edge_cross_entropy},
        loss_weights={"nodes": 1.0, "edges": 2.0},
        optimizer="adam",
    )


def zero_plus_total(model: keras.Model) -> None:
    """One loss returns 0, the other the whole cost."""
    of_nodes: dict[str, Tensor] = {}

    def zero(labels: Tensor, logits: Tensor) -> Tensor:
        of_nodes.update(labels=labels, logits=logits)
        return ops.zeros((), logits.dtype)

    def total(labels: Tensor, logits: Tensor) -> Tensor:
        nodes = ops.mean(node_cross_entropy(**of_nodes))
        edges = ops.mean(edge_cross_entropy(labels, logits))
        of_nodes.clear()  # a tensor of this trace has no meaning in the next
        weights = {"nodes": 1.0, "edges": 2.0}
        return weights["nodes"] * nodes + weights["edges"] * edges

    model.compile(loss={"nodes": zero, "edges": total}, optimizer="adam")


class JointModel(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """One loss over both heads."""

    def compute_loss(
        self,
        x: Tensor = None,
        y: Any = None,  # noqa: ANN401 (the two heads' labels)
        y_pred: Any = None,  # noqa: ANN401 (the two heads' logits)
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """The total."""
        nodes = ops.mean(node_cross_entropy(y["nodes"], y_pred["nodes"]))
        edges = ops.mean(edge_cross_entropy(y["edges"], y_pred["edges"]))
        total = 1.0 * nodes + 2.0 * edges
        return total + sum(self.losses)
