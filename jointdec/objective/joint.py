"""``joint``: ONE loss that sees all heads, Keras 3's way: a model whose ``compute_loss`` is overridden.

    total = sum_h w_h mean_h + sum_t w_t mean_t        over heads h and terms t

Any function of all heads can stand in that place, also one that does not separate into a sum.
"""

from __future__ import annotations

from typing import Any

from jointdec.objective.formulation import Labels, Tensor
from jointdec.objective.keras_formulation import KerasFormulation, RecordedModel


class JointModel(RecordedModel):
    """A Keras model with one loss over all outputs."""

    def compute_loss(
        self,
        x: Tensor = None,
        y: Labels | None = None,
        y_pred: Labels | None = None,
        sample_weight: Labels | None = None,
        training: bool = True,
    ) -> Tensor:
        """The scalar total of labels ``y`` and outputs ``y_pred``, each a dict by head."""
        assert y is not None
        assert y_pred is not None
        return self.formulation.total(y, y_pred, sample_weight) + sum(self.losses)


class Joint(KerasFormulation):
    """One loss over all heads."""

    summary = "ONE Keras loss that sees all heads (a model whose `compute_loss` is overridden)"
    model_class = JointModel

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        self.model.compile(**options)


FORMULATION = Joint
