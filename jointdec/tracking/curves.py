"""Turns results into MLflow metrics: names, steps, timestamps, and what is not a number.

The x axis of ``step/…`` is the global optimizer step; that of ``train/…``, ``val/…`` and ``time/…`` is the
epoch, so that runs of different batch sizes can be laid over each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from mlflow.entities import Metric

from jointdec.training.result import EpochResult


def epoch_metrics(result: EpochResult, ended: float, not_before: float, every: int = 1) -> list[Metric]:
    """All of an epoch's metrics.

    Args:
        result: the epoch.
        ended: when it ended, seconds since 1970. Steps are spread evenly over the ``result.seconds`` before.
        not_before: no step gets an earlier time, so that two epochs never overlap.
        every: of the steps only each so many'th, counted over the run.
    """
    count = len(result.steps["loss"])
    began = max(ended - result.seconds, not_before)
    times = np.linspace(1000 * began, 1000 * ended, count + 1)[1:].astype(int).tolist()
    metrics = [
        Metric(f"step/{name}", value, time, result.first_step + index)
        for name, values in result.steps.items()
        for index, (value, time) in enumerate(zip(values.tolist(), times, strict=True))
        if (result.first_step + index) % every == 0
    ]
    per_epoch = {f"train/{name}": value for name, value in result.train.items()}
    per_epoch |= {f"val/{name}": value for name, value in result.val.items()}
    per_epoch["time/ms_per_step"] = result.ms_per_step
    return metrics + plain_metrics(per_epoch, result.epoch, ended)


def plain_metrics(values: Mapping[str, float], step: int, at: float) -> list[Metric]:
    """Metrics that share a step and a time (seconds since 1970)."""
    return [Metric(name, float(value), int(1000 * at), step) for name, value in values.items()]


def without_infinities(metrics: Iterable[Metric]) -> list[Metric]:
    """MLflow keeps NaN, but turns ±Inf into ±1.8e308, which ruins every chart: leave those out."""
    return [metric for metric in metrics if not math.isinf(metric.value)]
