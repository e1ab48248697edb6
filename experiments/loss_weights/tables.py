"""Paired differences over seeds, with intervals, and what they come to in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from jointdec.reporting import statistics
from jointdec.reporting.statistics import Difference

Rows = Sequence[Mapping[str, str]]
REFERENCE = 2.0  # the source's weight of the bonds' loss
METRICS = {"val/exact": "exact", "val/node_accuracy": "atoms", "val/edge_accuracy": "pairs"}
LEVEL = 0.95


def cases(rows: Rows) -> list[tuple[str, str]]:
    """The networks with the optimizers, in their order."""
    return list(dict.fromkeys((row["model"], row["optimizer"]) for row in rows))


def values(rows: Rows, key: str) -> list[float]:
    """The values of a key, rising."""
    return sorted({float(row[key]) for row in rows})


def seeds_of(rows: Rows, case: tuple[str, str], weight: float, alpha: float, metric: str) -> dict[str, float]:
    """Seed -> the metric, of the trials that ended well."""
    return {
        row["seed"]: float(row[metric])
        for row in rows
        if (row["model"], row["optimizer"]) == case
        and (float(row["weight"]), float(row["alpha"])) == (weight, alpha)
        and row["state"] == "complete"
    }


def interval(sample: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of Student's 95 % interval; infinite for a single value."""
    n = len(sample)
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * np.std(sample, ddof=1) / np.sqrt(n) if n > 1 else np.inf
    return float(np.mean(sample)), float(half)


def difference(rows: Rows, case: tuple[str, str], weight: float, alpha: float, metric: str) -> Difference | None:
    """A metric at a weight minus the same at REFERENCE, in percentage points; None if there is no seed to compare."""
    here, there = (seeds_of(rows, case, w, alpha, metric) for w in (weight, REFERENCE))
    return statistics.difference(*({seed: 100 * value for seed, value in side.items()} for side in (here, there)))


def verdicts(rows: Rows) -> list[str]:
    """Of each network and optimizer: how far the weights move things, and how many of the differences hold."""
    lines = [
        "| network, optimizer (rate) | exact: worst to best weight | atoms | pairs | differences from weight 2 that "
        "hold | failed |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases(rows):
        here = [row for row in rows if (row["model"], row["optimizer"]) == case]
        found = {
            (weight, alpha, metric): difference(rows, case, weight, alpha, metric)
            for weight in values(rows, "weight")
            for alpha in values(rows, "alpha")
            for metric in METRICS
            if weight != REFERENCE
        }
        known = {key: one for key, one in found.items() if one}
        p_values = statistics.holm([one.p for one in known.values()])
        hold = sum(p < 1 - LEVEL for p in p_values)
        spans = " | ".join(_span(rows, case, metric) for metric in METRICS)
        failed = sum(row["state"] == "fail" for row in here)
        lines.append(
            f"| {case[0]}, {case[1]} ({float(here[0]['rate']):g}) | {spans} | {hold} of {len(known)} | "
            f"{failed} of {len(here)} |"
        )
    seeds = len({row["seed"] for row in rows})
    return [
        *lines,
        "",
        f"Means over {seeds} seeds at alpha 0.2. A difference holds if its paired t test does after Holm's correction, "
        "at 95 %, over all weights, alphas and the three metrics of its line. Weights at which a seed failed are left "
        "out of the spans.",
    ]


def weight_table(rows: Rows) -> list[str]:
    """Differences from weight 2 at alpha 0.2."""
    weights = [weight for weight in values(rows, "weight") if weight != REFERENCE]
    seeds = len({row["seed"] for row in rows})
    head = " | ".join(f"{weight:g}" for weight in weights)
    lines = [
        f"| difference from weight {REFERENCE:g}, points | {head} |",
        f"|---|{'---|' * len(weights)}",
    ]
    for case in cases(rows):
        for metric, name in METRICS.items():
            cells = " | ".join(_cell(difference(rows, case, weight, 0.2, metric), seeds) for weight in weights)
            lines.append(f"| {case[0]}, {case[1]}: {name} | {cells} |")
    return lines


def front_table(rows: Rows) -> list[str]:
    """Atoms against pairs at each weight, alpha 0.2."""
    weights, seeds = values(rows, "weight"), len({row["seed"] for row in rows})
    lines = [
        f"| atoms / pairs right at weight | {' | '.join(f'{weight:g}' for weight in weights)} |",
        f"|---|{'---|' * len(weights)}",
    ]
    for case in cases(rows):
        cells = []
        for weight in weights:
            atoms, pairs = (seeds_of(rows, case, weight, 0.2, f"val/{head}_accuracy") for head in ("node", "edge"))
            both = (np.mean(list(atoms.values())), np.mean(list(pairs.values()))) if atoms else None
            cells.append(f"{both[0]:.1%} / {both[1]:.1%}{_of(len(atoms), seeds)}" if both else "none ended well")
        lines.append(f"| {case[0]}, {case[1]} | {' | '.join(cells)} |")
    return lines


def _span(rows: Rows, case: tuple[str, str], metric: str) -> str:
    means = {}
    for weight in values(rows, "weight"):
        sample = seeds_of(rows, case, weight, 0.2, metric)
        if len(sample) == len({row["seed"] for row in rows}):
            means[weight] = np.mean(list(sample.values()))
    if not means:
        return "none"
    worst, best = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    return f"{means[worst]:.1%} (at {worst:g}) to {means[best]:.1%} (at {best:g})"


def _cell(found: Difference | None, seeds: int) -> str:
    if found is None:
        return "none ended well"
    return f"{found.mean:+.2f}" + (f" ± {found.high - found.mean:.2f}" if found.n > 1 else "") + _of(found.n, seeds)


def _of(n: int, seeds: int) -> str:
    """Says so where not all seeds ended well."""
    return "" if n == seeds else f" ({n} of {seeds} seeds)"
