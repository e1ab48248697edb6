"""``split``: one loss a head, added up by Keras's own ``loss_weights``.

Each loss is the mean over what is there of its head's labels; see `jointdec.objective.heads`.
"""

from __future__ import annotations

from typing import Any

from jointdec.config import Config
from jointdec.errors import UserError
from jointdec.objective.keras_formulation import KerasFormulation, mean_cost
from jointdec.problem import Problem


class Split(KerasFormulation):
    """A loss a head and their weights."""

    summary = "one Keras loss a head, added up by `compile(loss={…}, loss_weights={…})`"

    def __init__(self, problem: Problem, config: Config, x: Any = None) -> None:  # noqa: ANN401 (a tree of arrays)
        refuse_terms(config)
        super().__init__(problem, config, x)

    def compile_model(self, **options: Any) -> None:  # noqa: ANN401 (Keras's own keywords)
        """See `KerasFormulation.compile_model`."""
        self.model.compile(
            loss={name: mean_cost(loss.values) for name, loss in self.losses.items()},
            loss_weights={name: live.variable for name, live in self.loss_weights.items()},
            **options,
        )


def refuse_terms(config: Config) -> None:
    """Refuse terms over several heads where each loss sees its own head alone.

    Raises:
        UserError: a term has a weight.
    """
    if weighty := [term for term, weight in config.loss.terms.items() if weight != 0]:
        raise UserError(
            f"loss={config.loss.name} has one loss a head, and the term {weighty[0]!r} looks at several: use "
            f"loss=joint or loss=zero_plus_total, or leave it out with loss.terms.{weighty[0]}=0."
        )


FORMULATION = Split
