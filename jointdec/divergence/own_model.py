"""Which step of a training of the user's own model went NaN or Inf, and what of it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
        names: losses, layers or variables of that part that are not finite.
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
        return f"In step {self.step} (epoch {self.epoch}) {what[self.part]} are not finite: {', '.join(self.names)}."


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
    measured = result.norm_steps == step
    layers = [name for name, values in result.norms.items() if not np.isfinite(values[measured]).all()]
    if layers:
        named = tuple(name for name in layers if name != "grad_norm") or tuple(layers)
        return StepDivergence(step, result.epoch, rows, "gradient", named, loop.bad_state)
    return StepDivergence(step, result.epoch, rows, "update", _spoilt(loop, result.epoch, index), loop.bad_state)


def _spoilt(loop: Loop, epoch: int, step: int) -> tuple[str, ...]:
    """The variables that a step makes not finite; the state stays as it is."""
    now = loop.state()
    assert loop.bad_state is not None
    loop.restore(loop.bad_state)
    loop.run_steps(epoch, step, step + 1, 1)
    after = loop.state()
    loop.restore(now)
    return tuple(
        path
        for path in after.values
        if np.issubdtype(after[path].dtype, np.floating)
        and np.isfinite(loop.bad_state[path]).all()
        and not np.isfinite(after[path]).all()
    )
