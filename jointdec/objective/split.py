"""``split``: one loss a head, added up by Keras's own ``loss_weights``.

The callables return (B, 9) and (B, 9, 9): Keras takes the mean over all entries, zeros below the diagonal included,
and keeps its scaling under tf.distribute, which a callable that returns a scalar would lose.
"""

from __future__ import annotations

from typing import Any

from jointdec.objective.keras_formulation import KerasFormulation
from jointdec.problems.molecules.cross_entropies import edge_cross_entropy, node_cross_entropy


class Split(KerasFormulation):
    """Two losses and their weights."""

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        self.model.compile(
            loss={"nodes": node_cross_entropy, "edges": edge_cross_entropy},
            loss_weights={head: live.variable for head, live in self.loss_weights.items()},
            **options,
        )
