"""``joint``: ONE loss that sees both heads, Keras 3's way: a model whose ``compute_loss`` is overridden.

    total = w_nodes mean(CE_nodes) + w_edges mean(CE_edges)

Any function of both heads can stand in that place, also one that does not separate into a sum.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from jointdec.objective.formulation import Tensor
from jointdec.objective.keras_formulation import KerasFormulation, RecordedModel
from jointdec.problems.molecules.cross_entropies import edge_cross_entropy, node_cross_entropy
from jointdec.problems.molecules.decoder import Live


class JointModel(RecordedModel):
    """A Keras model with one loss over both outputs."""

    weights_of: dict[str, Live]

    def compute_loss(
        self,
        x: Tensor = None,
        y: Any = None,  # noqa: ANN401 (the two heads' labels)
        y_pred: Any = None,  # noqa: ANN401 (the two heads' logits)
        sample_weight: Tensor = None,
        training: bool = True,
    ) -> Tensor:
        """The scalar total of labels ``y`` and logits ``y_pred``, each a dict of both heads."""
        nodes = ops.mean(node_cross_entropy(y["nodes"], y_pred["nodes"]))
        edges = ops.mean(edge_cross_entropy(y["edges"], y_pred["edges"]))
        total = self.weights_of["nodes"].variable * nodes + self.weights_of["edges"].variable * edges
        return total + sum(self.losses)


class Joint(KerasFormulation):
    """One loss over both heads."""

    model_class = JointModel

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        self.model.weights_of = self.loss_weights
        self.model.compile(**options)
