"""``mse``: the probe "is it the model or the loss?", the squared error of the raw outputs against the labels.

    loss_head = mean((y - z)^2)

Classes are held against 1 for the true one and 0 for the others. The mean runs over all entries.
"""

from __future__ import annotations

from typing import Any

from jointdec.config import Config
from jointdec.objective.formulation import Tensor
from jointdec.objective.heads import HeadLoss
from jointdec.objective.keras_formulation import KerasFormulation, mean_cost
from jointdec.objective.split import refuse_terms
from jointdec.problem import Problem


class MeanSquaredError(KerasFormulation):
    """Squared errors for each head. The heads' curves are squared errors, too."""

    summary = "Keras's mean squared error for each head: the probe whether the model or the loss is at fault"

    def __init__(self, problem: Problem, config: Config, x: Any = None) -> None:  # noqa: ANN401 (a tree of arrays)
        refuse_terms(config)
        super().__init__(problem, config, x)

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        self.model.compile(
            loss={name: mean_cost(loss.squared) for name, loss in self.losses.items()},
            loss_weights={name: live.variable for name, live in self.loss_weights.items()},
            **options,
        )

    def values(self, loss: HeadLoss, y: Tensor, y_pred: Tensor) -> Tensor:
        """See `KerasFormulation.values`; here the squared errors."""
        return loss.squared(y, y_pred)


FORMULATION = MeanSquaredError
