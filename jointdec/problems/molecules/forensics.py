"""What became of a run that diverged: the first tensor that is not finite, its place, its cause, what to try."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.dataset import Dataset, Split
from jointdec.problems.molecules.causes import Case, find_cause, find_runaway_cause
from jointdec.divergence.record import NOT_FOUND, Divergence, Traced
from jointdec.divergence.runaway import Runaway
from jointdec.problems.molecules.twin import first_bad, trace_step
from jointdec.training import order
from jointdec.training.state import State


def batch_of_step(config: Config, dataset: Dataset, step: int) -> npt.NDArray[np.integer]:
    """Rows of the training split that the run's global step trains on, in their order."""
    training = config.training
    return order.batch_of_step(config.seed, step, len(dataset.train), training.batch_size, reshuffle=training.reshuffle)


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
    verdict = find_cause(Case(config, state, batch, trace, culprit, dataset.label_warning))
    where = _where(culprit, rows, batch)
    return Divergence(step, rows, culprit.name, where, verdict.cause, verdict.evidence, trace, compiled)


def investigate_runaway(config: Config, dataset: Dataset, state: State, runaway: Runaway) -> Divergence:
    """What is known about a loss that ran away while finite; the trace is of its batch after the epoch."""
    rows = batch_of_step(config, dataset, runaway.step)
    verdict = find_runaway_cause(config, state, dataset.label_warning, runaway)
    trace = trace_step(config, state, dataset.train.rows(rows))
    where = f"It was {runaway.value:.4g}, and finite, as every number was."
    tensor = f"{runaway.head}_loss"
    return Divergence(runaway.step, rows, tensor, where, *verdict, trace, compiled=False, runaway=True)


def _where(culprit: Traced, rows: npt.NDArray[np.integer], batch: Split) -> str:
    bad = culprit.bad
    if bad.ndim == 0:
        return f"It is {culprit.value}."
    first = tuple(int(index) for index in np.unravel_index(int(bad.argmax()), bad.shape))
    text = f"{bad.sum():,} of {bad.size:,} values are not finite, the first at {list(first)} is {culprit.value[first]}"
    if culprit.part in ("input", "activation", "loss") and len(bad) == len(rows):
        molecule = f" ({batch.smiles[first[0]]})" if batch.smiles else ""
        text += f": row {rows[first[0]]} of the train split{molecule}"
    return text + "."
