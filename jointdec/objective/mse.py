"""``mse``: the probe "is it the model or the loss?", the squared error of the raw outputs against one-hot labels.

    loss_head = mean((y - z)^2)

The mean runs over all entries, for bonds also over those on and below the diagonal.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from jointdec.objective.formulation import Tensor
from jointdec.objective.keras_formulation import KerasFormulation


class MeanSquaredError(KerasFormulation):
    """Keras's own ``"mse"`` for each head. The curves ``nodes`` and ``edges`` are squared errors, too."""

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        weights = {head: live.variable for head, live in self.loss_weights.items()}
        self.model.compile(loss={"nodes": "mse", "edges": "mse"}, loss_weights=weights, **options)

    def head_losses(self, labels: dict[str, Tensor], heads: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `KerasFormulation.head_losses`."""
        return {head: ops.mean(ops.square(labels[head] - logits)) for head, logits in heads.items()}
