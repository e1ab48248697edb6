"""What became of a run that diverged: the first tensor that is not finite, its place, its cause, what to try."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.dataset import Dataset, Split
from jointdec.divergence.record import NOT_FOUND, Divergence, Traced
from jointdec.divergence.runaway import Runaway
from jointdec.divergence.step_again import batch_of_step
from jointdec.problems.molecules.causes import Case, find_cause, find_runaway_cause
from jointdec.problems.molecules.twin import first_bad, trace_step
from jointdec.training.state import State


def investigate(config: Config, dataset: Dataset, state: State, step: int) -> Divergence:
    """Take a step again tensor by tensor and say what went wrong.

    Args:
        config: of the run.
        dataset: what it trained on.
        state: what the step started from.
        step: its global number.
    """
    rows = batch_of_step(config, dataset, step)
    batch = dataset.train.rows(rows)
    compiled = False
    trace = trace_step(config, state, batch)
    culprit = first_bad(trace)
    if culprit is None:  # XLA adds up in another order, and a sum may be 0 in one order alone
        compiled, trace = True, trace_step(config, state, batch, jit=True)
        culprit = first_bad(trace)
    if culprit is None:
        evidence = "Taken again tensor by tensor, op by op as well as compiled, every number of the step is finite."
        return Divergence(step, rows, NOT_FOUND, "Nowhere.", "unknown", evidence, trace, compiled)
    verdict = find_cause(Case(config, state, batch, trace, culprit, _label_warning(dataset)))
    where = _where(culprit, rows, batch)
    override = WEIGHTS if verdict.cause == "loss_weight" else ""
    return Divergence(
        step,
        rows,
        culprit.name,
        where,
        verdict.cause,
        verdict.evidence,
        trace,
        compiled,
        own_override=override,
        operation=culprit.operation,
    )


def investigate_runaway(config: Config, dataset: Dataset, state: State, runaway: Runaway) -> Divergence:
    """What is known about a loss that ran away while finite; the trace is of its batch after the epoch."""
    rows = batch_of_step(config, dataset, runaway.step)
    verdict = find_runaway_cause(config, state, _label_warning(dataset), runaway)
    trace = trace_step(config, state, dataset.train.rows(rows))
    where = f"It was {runaway.value:.4g}, and finite, as every number was."
    tensor = f"{runaway.head}_loss"
    return Divergence(runaway.step, rows, tensor, where, *verdict, trace, compiled=False, runaway=True)


WEIGHTS = "loss.weights.nodes=1 loss.weights.edges=2"


def _label_warning(dataset: Dataset) -> str | None:
    return dataset.warnings[0] if dataset.warnings else None


def _where(culprit: Traced, rows: npt.NDArray[np.integer], batch: Split) -> str:
    bad = culprit.bad
    if bad.ndim == 0:
        return f"It is {culprit.value}."
    first = tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))
    text = f"{bad.sum():,} of {bad.size:,} values are not finite, the first at {list(first)} is {culprit.value[first]}"
    if culprit.part in ("input", "activation", "loss") and len(bad) == len(rows):
        molecule = f" ({batch.names[first[0]]})" if batch.names else ""
        text += f": row {rows[first[0]]} of the train split{molecule}"
    return text + "."
