"""Which step of a training of the user's own model went NaN or Inf, and what of it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from jointdec.divergence.catalogue import CAUSES
from jointdec.divergence.explain import Explanation, Rows
from jointdec.divergence.trace import is_finite
from jointdec.training.compiled import CompiledLoop
from jointdec.training.result import EpochResult, diverged_at
from jointdec.training.state import State


@dataclass(frozen=True, eq=False)
class StepDivergence:
    """The first step that was not finite.

    Attributes:
        step: its global number, from 0.
        epoch: its epoch's.
        batch: rows of the examples that it trained on; empty for a data set that has no rows.
        part: what was not finite first: ``loss``, ``gradient`` or ``update``.
        names: losses, layers or variables of that part that are not finite; empty where the step was another one when
            it was taken again, as of a data set that is shuffled anew each time.
        state: what the step started from, every variable by its path.
        explanation: the first tensor that is not finite, the user's line, cause and remedy; None where the step is
            finite operation by operation, as where XLA adds up in another order.
    """

    step: int
    epoch: int
    batch: npt.NDArray[np.integer] = field(repr=False)
    part: str
    names: tuple[str, ...]
    state: State = field(repr=False)
    explanation: Explanation | None = None

    @property
    def tensor(self) -> str:
        """The first tensor that is not finite; where that is not known, the first of ``names``."""
        return self.explanation.tensor if self.explanation else next(iter(self.names), "unknown")

    @property
    def operation(self) -> str:
        """TensorFlow's name of the operation that gave it."""
        return self.explanation.operation if self.explanation else ""

    @property
    def line(self) -> str:
        """Of the user's code, as "house.py:31"; empty where there is none."""
        return self.explanation.line if self.explanation else ""

    @property
    def where(self) -> str:
        """The first element that is not finite, and whose row it is."""
        return self.explanation.where if self.explanation else ""

    @property
    def cause(self) -> str:
        """One of `jointdec.divergence.catalogue.CAUSES`."""
        return self.explanation.cause if self.explanation else "untraced"

    @property
    def evidence(self) -> str:
        """The numbers that prove the cause."""
        return self.explanation.evidence if self.explanation else ""

    @property
    def remedy(self) -> str:
        """What to write instead."""
        return self.explanation.remedy if self.explanation else CAUSES["untraced"].remedy

    @property
    def sentence(self) -> str:
        """What happened, and where."""
        what = {
            "loss": "these losses",
            "gradient": "the gradients of these layers",
            "update": "the new values of these variables",
        }
        names = ", ".join(self.names) or "when it was taken again, they were"
        first = f"In step {self.step} (epoch {self.epoch}) {what[self.part]} are not finite: {names}."
        return f"{first} {self.explanation}" if self.explanation else first


def find_divergence(
    loop: CompiledLoop, results: Sequence[EpochResult], rows: npt.NDArray[np.integer]
) -> StepDivergence | None:
    """What is known of the first bad step of a training; None if there was none.

    Args:
        loop: after its last epoch.
        results: the epochs.
        rows: of the examples in the bad step's batch.
    """
    step = diverged_at(results)
    if step is None or loop.bad_state is None:
        return None
    result = next(result for result in results if result.diverged_at is not None)
    index = step - result.first_step
    explanation = _explained(loop, result.epoch, index, rows)
    names = tuple(name for name, values in result.steps.items() if not np.isfinite(values[index]))
    part = "loss"
    if not names:
        layers, variables = _taken_again(loop, result.epoch, index)
        part, names = ("gradient", layers) if layers else ("update", variables)
    return StepDivergence(step, result.epoch, rows, part, names, loop.bad_state, explanation)


def _explained(loop: CompiledLoop, epoch: int, step: int, rows: npt.NDArray[np.integer]) -> Explanation | None:
    now, before = loop.state(), loop.bad_state
    assert before is not None
    loop.restore(before)
    explanation = loop.explain(epoch, step, Rows(rows))
    loop.restore(now)
    return explanation


def _taken_again(loop: CompiledLoop, epoch: int, step: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layers whose gradients a step makes not finite, and the variables; the state stays as it is."""
    now, before = loop.state(), loop.bad_state
    assert before is not None
    loop.restore(before)
    norms = loop.run_steps(epoch, step, step + 1, 1).norms
    after = loop.state()
    loop.restore(now)
    names = ["grad_norm", *loop.layers]
    layers = [name for name, norm in zip(names, norms.T, strict=True) if not np.isfinite(norm).all()]
    variables = [path for path in after.values if is_finite(before[path]) and not is_finite(after[path])]
    return tuple(name for name in layers if name != "grad_norm") or tuple(layers), tuple(variables)
