"""What each level does, against the reference, seed by seed, at equal epochs, equal steps and equal seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from curves import TENTHS, Curve
from levels import REFERENCE, Level
from scipy import stats

from jointdec.reporting.statistics import LEVEL, Difference, difference

BUDGETS = ("epochs", "steps", "seconds")
OWN_LOSS = "loss of the atoms"  # the factor whose losses are another function: held against nothing
Runs = Mapping[str, Sequence[Curve]]  # level -> its runs
Value = Callable[[Curve, float], float]  # of a run after so many epochs


class Effect(NamedTuple):
    """A level's difference from the reference.

    Attributes:
        difference: paired over the seeds.
        low, high: the mean's interval, all levels' intervals holding at once at 95 % (Bonferroni).
    """

    difference: Difference
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether 0 is outside of the interval."""
        return not self.difference.same and (self.low > 0 or self.high < 0)


def loss_effects(runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float]) -> dict[str, dict[str, Effect]]:
    """Budget -> level -> the natural logarithm of its validation loss over the reference's."""
    comparable = [level for level in levels if level.factor != OWN_LOSS]
    return effects(runs, comparable, ratios, lambda curve, epoch: math.log(curve.at("loss", epoch)))


def share_effects(
    runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float], metric: str
) -> dict[str, dict[str, Effect]]:
    """Budget -> level -> its share of what is right minus the reference's, in percentage points."""
    return effects(runs, levels, ratios, lambda curve, epoch: 100 * curve.at(metric, epoch))


def effects(
    runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float], value: Value
) -> dict[str, dict[str, Effect]]:
    """Budget -> level -> its difference from the reference in a value, corrected within the budget.

    A level that was not trained for as much as the budget is absent there.
    """
    reference = runs[REFERENCE.name]
    there = {curve.seed: value(curve, reference[0].epochs) for curve in reference}
    found = {}
    for budget in BUDGETS:
        pairs = {}
        for level in levels:
            epoch = epochs_at(budget, runs[level.name][0], reference[0], ratios[level.name])
            if level.name != REFERENCE.name and 1 <= epoch <= runs[level.name][0].epochs:
                pairs[level.name] = {curve.seed: value(curve, epoch) for curve in runs[level.name]}, there
        found[budget] = together(pairs)
    return found


def together(pairs: Mapping[str, tuple[Mapping[int, float], Mapping[int, float]]]) -> dict[str, Effect]:
    """Differences that are looked at beside each other, so corrected for their number."""
    known = {name: one for name, (here, there) in pairs.items() if (one := difference(dict(here), dict(there)))}
    return {name: _effect(one, len(known)) for name, one in known.items()}


def _effect(one: Difference, tests: int) -> Effect:
    """Widen Student's interval from 95 % for one to 95 % for all tests together."""
    if one.n < 2:
        return Effect(one, math.nan, math.nan)
    alone, all_at_once = stats.t.ppf([(1 + LEVEL) / 2, 1 - (1 - LEVEL) / 2 / tests], one.n - 1)
    half = (one.high - one.mean) / alone * all_at_once
    return Effect(one, one.mean - half, one.mean + half)


def epochs_at(budget: str, curve: Curve, reference: Curve, ratio: float) -> float:
    """How many epochs of a level cost as much as the reference's training.

    Args:
        budget: epochs, steps or seconds.
        curve: of the level.
        reference: of the reference.
        ratio: the level's time a step over the reference's.
    """
    if budget == "epochs":
        return reference.epochs
    steps = reference.epochs * reference.steps_per_epoch / (ratio if budget == "seconds" else 1)
    return steps / curve.steps_per_epoch


def speeds(runs: Runs, levels: Sequence[Level], ratios: Mapping[str, float]) -> dict[str, dict[str, Effect]]:
    """Budget -> level -> log of how many times as many epochs, steps, seconds the reference needs.

    Needs for what: `goal`. A level with a seed that does not get there is absent.
    """
    reference = runs[REFERENCE.name]
    wanted = goal(reference)
    needed = {
        level.name: {curve.seed: curve.epochs_to(wanted) for curve in runs[level.name]}
        for level in levels
        if level.factor != OWN_LOSS
    }
    there = {seed: -math.log(epochs) for seed, epochs in needed.pop(REFERENCE.name).items()}
    arrived = {name: epochs for name, epochs in needed.items() if all(map(math.isfinite, epochs.values()))}
    found = {}
    for budget in BUDGETS:
        pairs = {}
        for name, epochs in arrived.items():
            worth = epochs_at(budget, runs[name][0], reference[0], ratios[name]) / reference[0].epochs
            pairs[name] = {seed: -math.log(count / worth) for seed, count in epochs.items()}, there
        found[budget] = together(pairs)
    return found


def goal(reference: Sequence[Curve]) -> float:
    """The training loss at the end of the reference's second epoch, the geometric mean of its seeds."""
    return math.exp(np.mean([math.log(curve.train[2 * TENTHS - 1]) for curve in reference]))


def ranking(found: Mapping[str, Effect], levels: Sequence[Level]) -> list[tuple[str, str, float]]:
    """Factors from the one that moves most: factor, its level that moves most, and how far."""
    best: dict[str, tuple[str, float]] = {}
    for level in levels:
        if level.name in found and level.factor != "together":
            mean = found[level.name].difference.mean
            if level.factor not in best or abs(mean) > abs(best[level.factor][1]):
                best[level.factor] = level.name, mean
    return sorted(((factor, *one) for factor, one in best.items()), key=lambda row: -abs(row[2]))


def combined(runs: Runs, levels: Sequence[Level], value: Value) -> dict[str, tuple[float, float, Effect]]:
    """What levels of several changes do, against the sum of what each change does alone, at equal epochs.

    With a value y, the reference 0 and the changes 1 to k: the sum of y_i - y_0; y_together - y_0; and the second minus
    the first, which is 0 where the changes do not meet each other.

    Returns:
        Level -> sum, together, and the paired difference between the two, corrected for the number of levels.
    """
    reference = runs[REFERENCE.name]
    at = {
        level.name: {curve.seed: value(curve, reference[0].epochs) for curve in runs[level.name]}
        for level in levels
        if level.factor != OWN_LOSS
    }
    alone = {level.overrides[0]: level.name for level in levels if len(level.overrides) == 1 and level.name in at}
    sums, pairs = {}, {}
    for level in levels:
        if len(level.overrides) < 2 or not set(level.overrides) <= alone.keys():
            continue
        parts = [alone[override] for override in level.overrides]
        seeds = [seed for seed in at[level.name] if all(seed in at[name] for name in [*parts, REFERENCE.name])]
        sums[level.name] = {s: sum(at[name][s] - at[REFERENCE.name][s] for name in parts) for s in seeds}
        pairs[level.name] = {s: at[level.name][s] - at[REFERENCE.name][s] for s in seeds}, sums[level.name]
    beyond = together(pairs)
    return {
        name: (float(np.mean(list(sums[name].values()))), float(np.mean(list(here.values()))), beyond[name])
        for name, (here, _) in pairs.items()
    }
