"""``zero_plus_total``: all callables but the last return 0, the last the whole cost; ``compile(loss={...})`` alone.

A callable sees its own head only. Keras calls them in the order of the dictionary within one trace, so the first ones
can leave their labels and outputs for the last. (In Keras 2 it took them from ``model.targets``, now gone.) It returns
a scalar, which Keras leaves as it is; under tf.distribute its scaling would be missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from jointdec.objective.formulation import Tensor
from jointdec.objective.keras_formulation import Cost, KerasFormulation


class ZeroPlusTotal(KerasFormulation):
    """The last head costs everything, the others nothing."""

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


FORMULATION = ZeroPlusTotal
