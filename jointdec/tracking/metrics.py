"""Turns results into MLflow metrics, and writes them from one background thread, beside the training.

The x axis of ``step/…`` is the global optimizer step; that of ``train/…``, ``val/…`` and ``time/…`` is the
epoch, so that runs of different batch sizes can be laid over each other.

MLflow 3.17 takes 66 µs of a core for a metric, and 5 ms for a call, to store them in SQLite: in this thread, but beside
a training that would like all cores. So MLflow gets a few points of each curve, and curves.npz has all. A run of the
default length, 1,600 steps of 2.5 ms with three losses and every 16th gradient norm, spends on its metrics this much of
a core (medians of 5 rounds without the training, at its pace):

| points of a curve | all | 1,000 | 500 |
|---|---|---|---|
| seconds | 0.58 | 0.21 | 0.13 |
| percent of the steps' time | 14.6 | 5.4 | 3.1 |

So a run of this length keeps 400, and a long one, for which they weigh less, up to 2,000; MLflow's own page asks for
320.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from queue import Empty, Queue
from threading import Thread

import numpy as np
import numpy.typing as npt
from mlflow.entities import Metric

from jointdec.training.result import EpochResult, Steps

NAME_LIMIT = 250  # characters, MLflow's

BATCH = 1000  # MLflow's limit for one call
WAITING = 20_000  # metrics in the queue before `put` waits: some 2 s of writing
PAUSE = 0.5  # seconds without a new metric after which a smaller batch is written


class MetricWriter:
    """A queue of metrics and the thread that empties it.

    Args:
        write: stores at most BATCH metrics; called in the background thread alone, in the order of `put`.
    """

    def __init__(self, write: Callable[[list[Metric]], object]) -> None:
        self._write = write
        self._queue: Queue[Metric | None] = Queue(WAITING)
        self._error: Exception | None = None
        self._thread = Thread(target=self._run, name="jointdec-metrics", daemon=True)
        self._thread.start()

    def put(self, metrics: Iterable[Metric]) -> None:
        """Hand metrics over; waits only when the queue is full.

        Raises:
            Exception: what an earlier write raised; the metrics since then are lost.
        """
        self._raise_error()
        for metric in metrics:
            self._queue.put(metric)

    def close(self) -> None:
        """Wait until all is written. A second call does nothing.

        Raises:
            Exception: what a write raised.
        """
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
            self._raise_error()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._next_batch()
            if batch and self._error is None:  # after an error only empty the queue, lest `put` wait for ever
                try:
                    self._write(batch)
                except Exception as error:
                    self._error = error

    def _next_batch(self) -> tuple[list[Metric], bool]:
        """Up to BATCH metrics, and whether more may come."""
        batch: list[Metric] = []
        while len(batch) < BATCH:
            try:
                metric = self._queue.get(timeout=PAUSE if batch else None)
            except Empty:
                break
            if metric is None:
                return batch, False
            batch.append(metric)
        return batch, True


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
