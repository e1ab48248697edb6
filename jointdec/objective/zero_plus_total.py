"""``zero_plus_total``: one callable returns 0, the other the whole cost; ``compile(loss={...})`` alone, no subclass.

A callable sees its own head only. Keras calls them in the order of the dictionary within one trace, so the first can
leave its labels and logits for the second. (In Keras 2 the second took them from ``model.targets``, now gone.) It
returns a scalar, which Keras leaves as it is; under tf.distribute its scaling would be missing.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from jointdec.objective.formulation import Tensor
from jointdec.objective.keras_formulation import KerasFormulation
from jointdec.problems.molecules.cross_entropies import edge_cross_entropy, node_cross_entropy


class ZeroPlusTotal(KerasFormulation):
    """Head 1 costs nothing, head 2 everything."""

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        of_nodes: dict[str, Tensor] = {}

        def zero(labels: Tensor, logits: Tensor) -> Tensor:
            of_nodes.update(labels=labels, logits=logits)
            return ops.zeros((), logits.dtype)

        def total(labels: Tensor, logits: Tensor) -> Tensor:
            nodes = ops.mean(node_cross_entropy(**of_nodes))
            edges = ops.mean(edge_cross_entropy(labels, logits))
            of_nodes.clear()  # a tensor of this trace has no meaning in the next
            weights = {head: live.variable for head, live in self.loss_weights.items()}
            return weights["nodes"] * nodes + weights["edges"] * edges

        self.model.compile(loss={"nodes": zero, "edges": total}, **options)
