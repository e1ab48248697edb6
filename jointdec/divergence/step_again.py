"""A step that diverged, taken again: operation by operation, and if that is finite, by its own program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from jointdec.config import Config
from jointdec.dataset import Dataset
from jointdec.divergence.explain import Rows
from jointdec.divergence.last_good import start_from
from jointdec.divergence.record import NOT_FOUND, Divergence
from jointdec.divergence.runaway import Runaway
from jointdec.divergence.trace import is_finite
from jointdec.training import order
from jointdec.training.compiled import CompiledLoop
from jointdec.training.state import State


def batch_of_step(config: Config, dataset: Dataset, step: int) -> npt.NDArray[np.integer]:
    """Rows of the training split that the run's global step trains on, in their order."""
    training = config.training
    return order.batch_of_step(config.seed, step, len(dataset.train), training.batch_size, reshuffle=training.reshuffle)


def take_again(config: Config, dataset: Dataset, state: State, step: int) -> Divergence:
    """Take the step from its state, and say what of it is not finite first, at which line, and why.

    Args:
        config: of the run.
        dataset: what it trained on.
        state: what the step started from.
        step: its global number.
    """
    rows = batch_of_step(config, dataset, step)
    epoch, within = divmod(step, order.steps_per_epoch(len(dataset.train), config.training.batch_size))
    plain = replace(config, training=replace(config.training, name="compiled", jit=False))
    told = Rows(dataset.train.origin[rows]) if len(dataset.train.origin) else Rows(rows, "train split")
    if dataset.train.names:
        told = told._replace(names=[dataset.train.names[row] for row in rows])
    by_operation = start_from(plain, dataset, state)
    assert isinstance(by_operation, CompiledLoop)
    if found := by_operation.explain(epoch, within, told):
        masked = f" Not finite as well, but masked out: {', '.join(found.masked)}." if found.masked else ""
        return Divergence(
            step,
            rows,
            found.tensor,
            found.where,
            found.cause,
            found.evidence + masked,
            (),
            compiled=False,
            operation=found.operation,
            line=found.line,
        )
    loop = start_from(config, dataset, state)
    before = loop.state()
    taken = loop.run_steps(epoch, within, within + 1, 1)
    after = loop.state()
    losses = [name for name, value in zip(loop.columns, taken.rows[0], strict=True) if not np.isfinite(value)]
    norms = taken.norms[0] if len(taken.norms) else ()
    gradients = [name for name, norm in zip(("grad_norm", *loop.layers), norms, strict=False) if not np.isfinite(norm)]
    updates = [path for path in after.values if is_finite(before[path]) and not is_finite(after[path])]
    for what, names, prefix in (
        ("losses", [name for name in losses if name != "loss"] or losses, "loss/"),
        ("gradients of the layers", [name for name in gradients if name != "grad_norm"] or gradients, "gradient/"),
        ("new values of the variables", updates, "update/"),
    ):
        if names:
            where = f"Not finite are the {what} {', '.join(names)}{_of_rows(dataset, rows)}."
            evidence = "The step was taken again from the state that it started from, and gave the same."
            return Divergence(step, rows, f"{prefix}{names[0]}", where, "untraced", evidence, (), loop.jit)
    evidence = "Taken again, every loss, gradient and new value of the step is finite."
    return Divergence(step, rows, NOT_FOUND, "Nowhere.", "untraced", evidence, (), loop.jit)


def of_runaway(config: Config, dataset: Dataset, runaway: Runaway) -> Divergence:
    """What is known of a loss that ran away while every number was finite."""
    rows = batch_of_step(config, dataset, runaway.step)
    where = f"It was {runaway.value:.4g}, and finite, as every number was."
    return Divergence(
        runaway.step, rows, f"loss/{runaway.head}", where, "untraced", runaway.sentence, (), False, runaway=True
    )


def _of_rows(dataset: Dataset, rows: npt.NDArray[np.integer]) -> str:
    names = [dataset.train.names[row] for row in rows[:3]] if dataset.train.names else [str(row) for row in rows[:3]]
    return f", of a batch of {len(rows)} examples that begins with {', '.join(names)}"
