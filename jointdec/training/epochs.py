"""Epochs one after another, told to the record and the terminal, until there is a reason to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from jointdec.config import Config
from jointdec.divergence.runaway import Runaway, RunawayWatch
from jointdec.problems import find
from jointdec.training.result import EpochResult, diverged_at

if TYPE_CHECKING:
    from jointdec.interrupt import StopRequest
    from jointdec.reporting.terminal import Terminal
    from jointdec.tracking import Tracker
    from jointdec.training.loop import Loop


class Trained(NamedTuple):
    """What a training came to.

    Attributes:
        training: the loop; None if a specimen's could not be made or failed.
        results: the epochs.
        outcome: finished, diverged, interrupted, pruned or failed.
        runaway: the first step in which a loss ran away, if one did.
        failure: what a specimen raised, if it did.
    """

    training: Loop | None
    results: list[EpochResult]
    outcome: str
    runaway: Runaway | None = None
    failure: Exception | None = None


def run_epochs(  # noqa: PLR0913, PLR0917 (one loop for all commands)
    config: Config,
    training: Loop,
    tracker: Tracker,
    terminal: Terminal,
    stop: StopRequest,
    hopeless: Callable[[EpochResult], bool] = lambda result: False,
) -> Trained:
    """Train until the last epoch, a divergence, a request to stop, or an epoch after which it is ``hopeless``."""
    results: list[EpochResult] = []
    problem, runaway = find(config.problem), None
    watch = RunawayWatch([*problem.heads, *problem.terms], problem.never_negative)
    with terminal.epochs(config.training.epochs) as show:
        for epoch in range(config.training.epochs):
            result = training.run_epoch(epoch)
            results.append(result)
            tracker.log_epoch(result)
            if result.skipped:
                terminal.note(f"skipped      the batches of steps {', '.join(map(str, result.skipped))}: not finite")
            show(result)
            if runaway is None and (runaway := watch(result)):
                tracker.set_tags({"jointdec.runaway.step": runaway.step, "jointdec.runaway.head": runaway.head})
                terminal.note(f"warning      {runaway.sentence}")
            if result.diverged_at is not None and training.stops:
                break
            if runaway and config.training.on_runaway == "stop":
                return Trained(training, results, "diverged", runaway)
            if stop.made:
                return Trained(training, results, "interrupted", runaway)
            if result.diverged_at is None and hopeless(result) and epoch + 1 < config.training.epochs:
                return Trained(training, results, "pruned", runaway)
    return Trained(training, results, "finished" if diverged_at(results) is None else "diverged", runaway)
