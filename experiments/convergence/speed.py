"""Milliseconds a step of each program that the levels need, all in one process, in turn, round after round.

A trial's own seconds will not do: two train at a time, and whatever else the machine does falls on some of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from levels import REFERENCE, Plan, configure

from jointdec.objective.formulation import make_formulation
from jointdec.problems.molecules.load import load
from jointdec.training.order import steps_per_epoch
from jointdec.training.problem_loop import CompiledTraining, compiled_for

SECONDS = 1.0  # about as long is a program timed in a round


def measure(plan: Plan) -> dict[str, list[float]]:
    """Level -> ms a step in each round. Levels that share a program, as `compiled_for` says, share its times."""
    data = configure(plan, REFERENCE).data  # other features take no other time
    dataset = load(data)
    programs: dict[str, tuple[CompiledTraining, int]] = {}
    program_of = {}
    for level in plan.levels:
        config = replace(configure(plan, level), data=data)
        key = program_of[level.name] = repr(compiled_for(config))
        if key not in programs:
            training = CompiledTraining(config, make_formulation(config), dataset)
            programs[key] = training, _count(training, steps_per_epoch(len(dataset.train), config.training.batch_size))
    rounds = []
    for number in range(plan.rounds):
        keys = list(np.roll(np.array(list(programs), dtype=object), -number))  # nobody is always behind the same one
        rounds.append({key: _time(*programs[key]) for key in keys})
    return {name: [taken[key] for taken in rounds] for name, key in program_of.items()}


def ratios(measured: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Level -> its time a step over the reference's, the median of the rounds' own ratios."""
    reference = np.array(measured[REFERENCE.name])
    return {name: float(np.median(np.array(times) / reference)) for name, times in measured.items()}


def _count(training: CompiledTraining, available: int) -> int:
    """Steps that take about SECONDS, of those that an epoch has."""
    return min(available, round(1000 * SECONDS / _time(training, 10)))


def _time(training: CompiledTraining, steps: int) -> float:
    start, compiled = time.perf_counter(), training.compile_seconds
    taken = training.run_guarded(0, 0, steps)
    seconds = time.perf_counter() - start - (training.compile_seconds - compiled)
    return 1000 * seconds / len(taken.steps.rows)
