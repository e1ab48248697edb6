"""What each level does, against the reference, seed by seed, at equal epochs, equal steps and equal seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from curves import Curve
from levels import CUBE, REFERENCE, Level
from scipy import stats

from jointdec.reporting.statistics import LEVEL, Difference, corrected, difference

BUDGETS = ("epochs", "steps", "seconds")
OWN_LOSS = "loss of the atoms"  # the factor whose losses are another function: held against nothing
Runs = Mapping[str, Sequence[Curve]]  # level -> its runs
Value = Callable[[Curve, float], float]  # of a run after so many epochs


class Effect(NamedTuple):
    """A level's difference from the reference.

    Attributes:
        difference: paired over the seeds; its p is corrected for the number of levels beside it.
        low, high: the mean's interval, all levels' intervals holding at once at 95 % (Bonferroni).
    """

    difference: Difference
    low: float
    high: float


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
    """Budget -> level -> its difference from the reference in a value, corrected within the budget."""
    reference = runs[REFERENCE.name]
    changed = [level for level in levels if level.name != REFERENCE.name]
    found = {}
    for budget in BUDGETS:
        there = {curve.seed: value(curve, reference_epochs(reference)) for curve in reference}
        pairs = {}
        for level in changed:
            epoch = epochs_at(budget, runs[level.name][0], reference[0], ratios[level.name])
            pairs[level.name] = {curve.seed: value(curve, epoch) for curve in runs[level.name]}, there
        found[budget] = together(pairs)
    return found


def together(pairs: Mapping[str, tuple[Mapping[int, float], Mapping[int, float]]]) -> dict[str, Effect]:
    """Differences that are looked at beside each other, so corrected for their number."""
    known = {name: one for name, (here, there) in pairs.items() if (one := difference(dict(here), dict(there)))}
    after = corrected(list(known.values()))
    return {name: _effect(one, len(known)) for name, one in zip(known, after, strict=True)}


def _effect(one: Difference, tests: int) -> Effect:
    """Widen Student's interval from 95 % for one to 95 % for all tests together."""
    if one.n < 2:
        return Effect(one, math.nan, math.nan)
    alone, all_at_once = stats.t.ppf([(1 + LEVEL) / 2, 1 - (1 - LEVEL) / 2 / tests], one.n - 1)
    half = (one.high - one.mean) / alone * all_at_once
    return Effect(one, one.mean - half, one.mean + half)


def reference_epochs(reference: Sequence[Curve]) -> int:
    """The epochs at which all are compared: those of the reference."""
    return reference[0].epochs


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

    Needs for what: the training loss that the reference has, with the same seed, after its first epoch. Levels with
    a seed that does not get there are absent.
    """
    reference = {curve.seed: curve for curve in runs[REFERENCE.name]}
    goals = {seed: curve.train[:10][-1] for seed, curve in reference.items()}
    found = {}
    for budget in BUDGETS:
        pairs = {}
        for level in levels:
            if level.factor == OWN_LOSS or level.name == REFERENCE.name:
                continue
            here = {curve.seed: curve.epochs_to(goals[curve.seed]) for curve in runs[level.name]}
            if not all(math.isfinite(epochs) for epochs in here.values()):
                continue
            first = runs[level.name][0]
            price = reference_epochs(runs[REFERENCE.name]) / epochs_at(
                budget, first, runs[REFERENCE.name][0], ratios[level.name]
            )
            needed = {seed: -math.log(epochs * price) for seed, epochs in here.items()}
            there = {seed: -math.log(curve.epochs_to(goals[seed])) for seed, curve in reference.items()}
            pairs[level.name] = needed, there
        found[budget] = together(pairs)
    return found


def ranking(found: Mapping[str, Effect], levels: Sequence[Level]) -> list[tuple[str, str, float]]:
    """Factors from the one that moves most: factor, its level that moves most, and how far."""
    best: dict[str, tuple[str, float]] = {}
    for level in levels:
        if level.name in found and level.factor != "together":
            mean = found[level.name].difference.mean
            if level.factor not in best or abs(mean) > abs(best[level.factor][1]):
                best[level.factor] = level.name, mean
    return sorted(((factor, *one) for factor, one in best.items()), key=lambda row: -abs(row[2]))


def interactions(runs: Runs, levels: Sequence[Level], value: Value) -> dict[str, Effect]:
    """Effects of the full two-level design over CUBE: each factor's, and what two or three add to their sum.

    With a value y(a, b, c) at levels 0 and 1, the effect of a set of factors is the mean of
    y * product over the set of (2 level - 1), times 2, over the eight corners (Yates 1937).

    Returns:
        The factors, joined by x -> effect; empty where corners are missing.
    """
    corners = _corners(levels)
    if len(corners) < 2 ** len(CUBE):
        return {}
    reference = runs[REFERENCE.name]
    at = {
        corner: {curve.seed: value(curve, reference_epochs(reference)) for curve in runs[name]}
        for corner, name in corners.items()
    }
    found = {}
    for factors in sorted(corners, key=lambda factors: (len(factors), [factor not in factors for factor in CUBE])):
        signs = {corner: (-1) ** len(factors - corner) for corner in at}
        effect = {c.seed: sum(signs[one] * at[one][c.seed] for one in at) / 2 ** (len(CUBE) - 1) for c in reference}
        if factors:
            found[" x ".join(factor for factor in CUBE if factor in factors)] = effect, dict.fromkeys(effect, 0.0)
    return together(found)


def _corners(levels: Sequence[Level]) -> dict[frozenset[str], str]:
    """Which of CUBE's factors are changed -> the level that changes these and nothing else."""
    named = {frozenset(level.overrides): level.name for level in levels}
    corners = {}
    for size in range(len(CUBE) + 1):
        for factors in combinations(CUBE, size):
            name = named.get(frozenset(CUBE[factor] for factor in factors))
            if name:
                corners[frozenset(factors)] = name
    return corners
