"""Turns results into MLflow metrics: names, steps, timestamps, how many of them, and what is not a number.

The x axis of ``step/…`` is the global optimizer step; that of ``train/…``, ``val/…`` and ``time/…`` is the
epoch, so that runs of different batch sizes can be laid over each other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from mlflow.entities import Metric

from jointdec.training.result import EpochResult, Steps

NAME_LIMIT = 250  # characters, MLflow's


def epoch_metrics(result: EpochResult, ended: float, not_before: float, every: int = 1) -> list[Metric]:
    """All of an epoch's metrics.

    Args:
        result: the epoch.
        ended: when it ended, seconds since 1970. Steps are spread evenly over the ``result.seconds`` before.
        not_before: no step gets an earlier time, so that two epochs never overlap.
        every: of each curve over the steps the first point in so many steps, counted over the run, and what is notable.
    """
    count = len(result.step_numbers)
    began = max(ended - result.seconds, not_before)
    times = np.linspace(1000 * began, 1000 * ended, count + 1)[1:].astype(int)
    metrics: list[Metric] = []
    norm_steps, norms = result.norm_steps, {name: result.norms[name] for name in ("grad_norm",) if name in result.norms}
    apart = int(norm_steps[1] - norm_steps[0]) if len(norm_steps) > 1 else every
    for at, curves, between in ((result.step_numbers, result.steps, 1), (norm_steps, norms, apart)):
        kept = thinned(at, between, every) | np.isin(at, _notable(result))
        steps = at[kept].tolist()
        stamps = times[at[kept] - result.first_step].tolist()
        for name, values in curves.items():
            key = mlflow_name(f"step/{name}")
            metrics += map(Metric, [key] * len(steps), values[kept].tolist(), stamps, steps)
    per_epoch = {f"train/{name}": value for name, value in result.train.items()}
    per_epoch |= {f"val/{name}": value for name, value in result.val.items()}
    per_epoch["time/ms_per_step"] = result.ms_per_step
    return metrics + plain_metrics(per_epoch, result.epoch, ended)


def thinned(at: Steps, apart: int, every: int) -> npt.NDArray[np.bool_]:
    """Which points of a curve to keep: the first one in each stretch of ``every`` steps of the run.

    Args:
        at: (k,) the steps of the points.
        apart: steps from one point to the next, in all of the run.
        every: with 1 all are kept.
    """
    return np.asarray(at // every > (at - apart) // every)


def mlflow_name(name: str) -> str:
    """The name, as far as MLflow takes it: a metric of the user's own may be called ``<lambda>``."""
    return re.sub(r"[^\w.\- :/]", "_", name)[:NAME_LIMIT]


def plain_metrics(values: Mapping[str, float], step: int, at: float) -> list[Metric]:
    """Metrics that share a step and a time (seconds since 1970)."""
    return [Metric(mlflow_name(name), float(value), int(1000 * at), step) for name, value in values.items()]


def without_infinities(metrics: Iterable[Metric]) -> list[Metric]:
    """MLflow keeps NaN, but turns ±Inf into ±1.8e308, which ruins every chart: leave those out."""
    return [metric for metric in metrics if not math.isinf(metric.value)]


def _notable(result: EpochResult) -> list[int]:
    """Steps to be seen in any case: those that were skipped, the one that diverged, and the last one of its epoch."""
    diverged = [] if result.diverged_at is None else [result.diverged_at, int(result.step_numbers[-1])]
    return [*result.skipped, *diverged]
