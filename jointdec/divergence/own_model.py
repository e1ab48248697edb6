"""Which step of a training of the user's own model went NaN or Inf, and what of it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jointdec.training.loop import Loop
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
    """

    step: int
    epoch: int
    batch: npt.NDArray[np.integer] = field(repr=False)
    part: str
    names: tuple[str, ...]
    state: State = field(repr=False)

    @property
    def sentence(self) -> str:
        """What happened, and where."""
        what = {
            "loss": "these losses",
            "gradient": "the gradients of these layers",
            "update": "the new values of these variables",
        }
        names = ", ".join(self.names) or "when it was taken again, they were"
        return f"In step {self.step} (epoch {self.epoch}) {what[self.part]} are not finite: {names}."


def find_divergence(loop: Loop, results: Sequence[EpochResult], rows: npt.NDArray[np.integer]) -> StepDivergence | None:
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
    losses = tuple(name for name, values in result.steps.items() if not np.isfinite(values[index]))
    if losses:
        return StepDivergence(step, result.epoch, rows, "loss", losses, loop.bad_state)
    layers, variables = _taken_again(loop, result.epoch, index)
    if layers:
        return StepDivergence(step, result.epoch, rows, "gradient", layers, loop.bad_state)
    return StepDivergence(step, result.epoch, rows, "update", variables, loop.bad_state)


def _taken_again(loop: Loop, epoch: int, step: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The layers whose gradients a step makes not finite, and the variables; the state stays as it is."""
    now, before = loop.state(), loop.bad_state
    assert before is not None
    loop.restore(before)
    norms = loop.run_steps(epoch, step, step + 1, 1).norms
    after = loop.state()
    loop.restore(now)
    names = ["grad_norm", *loop.layers]
    layers = [name for name, norm in zip(names, norms.T, strict=True) if not np.isfinite(norm).all()]
    variables = [path for path in after.values if _is_finite(before[path]) and not _is_finite(after[path])]
    return tuple(name for name in layers if name != "grad_norm") or tuple(layers), tuple(variables)


def _is_finite(value: npt.NDArray[Any]) -> bool:
    return value.dtype.kind in "iub" or bool(np.isfinite(value.astype(np.float64)).all())
