"""jointdec itself: `CompiledTraining` as a run uses it, and the loop of ``python -m jointdec.run`` around it."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from problem import Contender, Problem, Round

from jointdec.config import Config
from jointdec.interrupt import StopRequest
from jointdec.objective.formulation import make_formulation
from jointdec.reporting.terminal import Terminal
from jointdec.tracking import open_tracker
from jointdec.training.epochs import run_epochs
from jointdec.training.problem_loop import CompiledTraining

NEVER = 2**62  # steps from one norm to the next
LOOP_STEPS = 2000  # at least, so that what starts and ends a run does not count


def compiled(problem: Problem) -> Contender:
    """The steps of `CompiledTraining` with its curves and norms; validation comes after them and is not counted."""
    return _epochs(problem, problem.config.training.norms)


def without_norms(problem: Problem) -> Contender:
    """The same without gradient norms: the guard looks at losses and variables alone."""
    return _epochs(problem, NEVER)


def all_norms(problem: Problem) -> Contender:
    """The same with the gradient norms of every step."""
    return _epochs(problem, 1)


def _epochs(problem: Problem, norms: int) -> Contender:
    training = CompiledTraining(_with(problem, norms=norms), make_formulation(problem.config), problem.dataset())

    def epoch(number: int) -> Round:
        result = training.run_epoch(number)
        return Round(result.ms_per_step, result.train["loss"])

    return epoch


def unguarded(problem: Problem) -> Contender:
    """The same curves, and nothing that looks for NaN, could go back, or takes norms."""
    config = _with(problem, norms=NEVER, on_divergence="continue")
    training = _Unguarded(config, make_formulation(config), problem.dataset())

    def epoch(number: int) -> Round:
        start = time.perf_counter()
        starts = range(0, problem.steps, training.capacity)
        parts = [training.run_steps(number, at, min(problem.steps, at + training.capacity), NEVER) for at in starts]
        rows = np.concatenate([part.rows for part in parts])
        return Round(1000 * (time.perf_counter() - start) / problem.steps, float(rows[:, 0].mean()))

    return epoch


class _Unguarded(CompiledTraining):
    """A program that does not say whether its variables are finite."""

    def _checked(self) -> list[Any]:
        return []


def _with(problem: Problem, **training: Any) -> Config:  # noqa: ANN401 (of the training's group)
    return replace(problem.config, training=replace(problem.config.training, **training))


def loop(problem: Problem) -> Contender:
    """All of `run_epochs` until MLflow has the last metric: validation and records included."""
    training = CompiledTraining(problem.config, make_formulation(problem.config), problem.dataset())
    store = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    folder = Path(store.name)
    tracking = replace(problem.config.tracking, uri=f"sqlite:///{folder / 'mlflow.db'}")
    config = replace(problem.config, tracking=tracking)
    epochs = -(-LOOP_STEPS // problem.steps)
    whole = replace(config, training=replace(config.training, epochs=epochs))
    one = replace(config, training=replace(config.training, epochs=1))

    def run(number: int) -> Round:
        assert store  # it lives as long as this function
        with open_tracker(config, folder, []) as tracker:
            start = time.perf_counter()
            results = run_epochs(whole if number else one, training, tracker, Terminal(), StopRequest()).results
            tracker.finish("finished")
            seconds = time.perf_counter() - start
        return Round(1000 * seconds / (len(results) * problem.steps), results[0].train["loss"])

    return run
