"""The formulations of jointdec's own, by the name that ``loss.name`` gives them.

    total = sum_h w_h mean_h + sum_t w_t mean_t        over heads h and terms t

is what ``joint`` computes at once, any other function of all heads could stand in its place; ``split`` and ``mse`` have
Keras add up one loss a head, without terms; ``zero_plus_total`` is the whole cost as the loss of the last head. Each
mean is over what is there of its head's labels; see `jointdec.objective.heads`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from keras import ops

from jointdec.config import Config
from jointdec.errors import UserError
from jointdec.objective.formulation import Labels, Tensor
from jointdec.objective.heads import HeadLoss
from jointdec.objective.keras_formulation import Cost, KerasFormulation, RecordedModel, mean_cost
from jointdec.problem import Problem


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
    """One loss over all heads, Keras 3's way: a model whose ``compute_loss`` is overridden."""

    summary = "ONE Keras loss that sees all heads (a model whose `compute_loss` is overridden)"
    model_class = JointModel

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        self.model.compile(**options)


class Split(KerasFormulation):
    """A loss a head, added up by Keras's own ``loss_weights``.

    Raises:
        UserError: a term over several heads has a weight, and each loss sees its own head alone.
    """

    summary = "one Keras loss a head, added up by `compile(loss={…}, loss_weights={…})`"

    def __init__(self, problem: Problem, config: Config, x: Any = None) -> None:  # noqa: ANN401 (a tree of arrays)
        if weighty := [term for term, weight in config.loss.terms.items() if weight != 0]:
            raise UserError(
                f"loss={config.loss.name} has one loss a head, and the term {weighty[0]!r} looks at several: use "
                f"loss=joint or loss=zero_plus_total, or leave it out with loss.terms.{weighty[0]}=0."
            )
        super().__init__(problem, config, x)

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        self.model.compile(
            loss={name: mean_cost(partial(self.values, loss)) for name, loss in self.losses.items()},
            loss_weights={name: live.variable for name, live in self.loss_weights.items()},
            **options,
        )


class MeanSquaredError(Split):
    """The probe "is it the model or the loss?": the squared error of the raw outputs z against the labels y.

        loss_head = mean((y - z)^2)

    Classes are held against 1 for the true one and 0 for the others. The mean runs over all entries. The heads' curves
    are squared errors, too.
    """

    summary = "Keras's mean squared error for each head: the probe whether the model or the loss is at fault"

    def values(self, loss: HeadLoss, y: Tensor, y_pred: Tensor) -> Tensor:
        """See `KerasFormulation.values`; here the squared errors."""
        return loss.squared(y, y_pred)


class ZeroPlusTotal(KerasFormulation):
    """All callables but the last return 0, the last the whole cost; ``compile(loss={...})`` alone.

    A callable sees its own head only. Keras calls them in the order of the dictionary within one trace, so the first
    ones can leave their labels and outputs for the last. (In Keras 2 it took them from ``model.targets``, now gone.) It
    returns a scalar, which Keras leaves as it is; under tf.distribute its scaling would be missing.
    """

    summary = "Keras losses of which all but the last return 0, and the last the whole cost"

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        seen: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        *first, last = self.losses

        def zero(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
            def cost(y: Tensor, y_pred: Tensor, weight: Tensor) -> Tensor:
                seen[name] = y, y_pred, weight
                return ops.zeros((), y_pred.dtype)

            return cost

        def total(y: Tensor, y_pred: Tensor, weight: Tensor) -> Tensor:
            found = {**seen, last: (y, y_pred, weight)}
            seen.clear()  # a tensor of this trace has no meaning in the next
            labels, outputs, weights = ({name: found[name][place] for name in self.losses} for place in range(3))
            known = {name: each for name, each in weights.items() if each is not None}
            return self.total(labels, outputs, known or None)

        costs = {name: Cost(zero(name)) for name in first} | {last: Cost(total)}
        self.model.compile(loss=costs, **options)


FORMULATIONS: Mapping[str, type[KerasFormulation]] = {  # their names are jointdec.problem.OBJECTIVES, too
    "joint": Joint,
    "split": Split,
    "zero_plus_total": ZeroPlusTotal,
    "mse": MeanSquaredError,
}
