"""Numbers of a comparison in words: how a value is written, and what a difference says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from jointdec.comparing.comparison import Comparison, Reached
from jointdec.comparing.groups import REPEATED, Group
from jointdec.reporting.names import SPLITS, higher_is_better, is_share
from jointdec.reporting.statistics import Difference, Estimate

SHOWN = 3  # ids or steps in a sentence
ENOUGH = 5  # seeds, below which an interval says little


def split_of(metrics: Sequence[str]) -> str:
    """Where the metrics were taken, in words."""
    kinds = dict.fromkeys(SPLITS[kind] for metric in metrics if (kind := metric.partition("/")[0]) in SPLITS)
    return " and ".join(f"{kind} split" for kind in kinds)


def value(metric: str, number: float) -> str:
    """A value of the metric; shares in percent."""
    if math.isnan(number):
        return "-"
    return f"{100 * number:.1f} %" if is_share(metric) else f"{number:.4g}"


def estimate(metric: str, found: Estimate) -> str:
    """A value with its interval, if it has one."""
    if math.isnan(found.low):
        return value(metric, found.value)
    return f"{value(metric, found.value)} [{_bare(metric, found.low)}, {_bare(metric, found.high)}]"


def change(metric: str, found: Difference) -> str:
    """A difference with its interval; of shares in percentage points."""
    text = _signed(metric, found.mean) + _unit(metric)
    return text if math.isnan(found.low) else f"{text} [{_signed(metric, found.low)}, {_signed(metric, found.high)}]"


def verdict(metric: str, found: Difference) -> str:
    """Whether a difference is there, in a word or two for a table."""
    if found.same:
        return "the same"
    if math.isnan(found.p):
        return "one seed"
    if found.holds:
        return "better" if (found.mean > 0) == higher_is_better(metric) else "worse"
    return "not after correction" if found.holds_alone else "no difference shown"


def about(comparison: Comparison) -> str:
    """Which runs these are, on what, how long."""
    runs = pd.concat([group.all for group in comparison.groups])
    data = _named(runs, "data.name") or comparison.measured.problem or "of their own"
    made = f"{_count(len(runs), 'run')} in {_count(len(comparison.groups), 'group')} by {' and '.join(comparison.by)}"
    budget = [
        f"{'/'.join(f'{number:g}' for number in sorted(runs[key].dropna().unique()))} {unit}"
        for key, unit in (("training.epochs", "epochs"), ("training.batch_size", "examples a batch"))
        if key in runs
    ]
    where = ", ".join(runs["devices"].dropna().unique()) or "an unknown device"
    facts = [f"data {data} (digest {_named(runs, 'data_digest')})", ", ".join(budget), f"on {where}"]
    return f"{made}, held against {comparison.baseline.name}; {'; '.join(filter(None, facts))}."


def sentences(comparison: Comparison) -> list[str]:
    """What the comparison found, a plain sentence a result."""
    first = comparison.baseline.name
    said = [_about(group, comparison) for group in comparison.groups[1:]]
    said += [text for group in comparison.groups if (text := fate(group))]
    said += [_reach(comparison)] if comparison.reached else []
    if comparison.seeds < 2:
        said.append("There is one seed only, so no interval can be given and no difference can be called one.")
    elif comparison.seeds < ENOUGH:
        said.append(
            f"There are {comparison.seeds} seeds only: intervals of so few are rough; 5 or more tell something."
        )
    if len(comparison.groups) == 1:
        said.insert(0, f"There is one group only, {first}: nothing to compare it with.")
    if len(functions := comparison.measured.functions) > 1:
        said.append(
            f"The losses are different functions ({', '.join(functions)}): their values, also in the learning curves, "
            "cannot be held against each other."
        )
    for metric, ids in comparison.excluded.items():
        name = comparison.name_of(metric)
        said.append(f"{name}: the value of {len(ids)} finished runs is not finite; they are not in its means.")
    missing = [run for curves in comparison.curves.values() for run in curves.missing]
    if missing:
        said.append(
            f"{_count(len(missing), 'run')} left no curves.npz ({_some(missing)}): in the tables, but not in the "
            "learning curves nor in the times to the target."
        )
    return said


def fate(group: Group) -> str:
    """What became of a group's runs that do not count; an empty text if all do."""
    parts = []
    if len(group.diverged):
        steps = f" (at step {_some(sorted(group.divergence_steps))})" if group.divergence_steps else ""
        parts.append(f"{len(group.diverged)} of {len(group.all)} runs diverged{steps} and are in no mean")
    for outcome, ids in group.left_out.items():
        why = "an earlier run of the same configuration and seed" if outcome == REPEATED else outcome
        parts.append(f"{_count(len(ids), 'run')} left out ({why}: {_some(ids)})")
    return f"{group.name}: {'; '.join(parts)}." if parts else ""


def _about(group: Group, comparison: Comparison) -> str:
    """One group against the baseline: what holds, what is the same, what cannot be told."""
    names, name_of = f"{group.name} and {comparison.baseline.name}", comparison.name_of
    found = {m: one for m in comparison.metrics if (one := comparison.differences.get((group.name, m)))}
    for side in (group, comparison.baseline):
        if not len(side.runs):
            return f"{names}: no run of {side.name} came to its end, so there is no difference to tell."
    if not found:
        return f"{names}: no seed in common, so no paired difference."
    seeds = _count(max(one.n for one in found.values()), "seed")
    same = [name_of(metric) for metric, one in found.items() if one.same]
    if len(same) == len(found):
        return f"{names}: the same to five digits, {seeds} ({', '.join(same)})."
    rest = {metric: one for metric, one in found.items() if not one.same}
    if any(math.isnan(one.p) for one in rest.values()):
        return f"{names}, one seed: {', '.join(f'{name_of(m)} {change(m, one)}' for m, one in rest.items())}."
    hold = [_held(group, metric, one, name_of(metric)) for metric, one in rest.items() if one.holds]
    alone = [f"{name_of(m)} {change(m, one)}" for m, one in rest.items() if one.holds_alone and not one.holds]
    none = [_within(metric, one, name_of(metric)) for metric, one in rest.items() if not one.holds_alone]
    parts = hold or [f"no difference that {seeds} can show"]
    parts += [f"{'no other that they can show; ' if hold else ''}95 % within {', '.join(none)}"] if none else []
    parts += [f"the same to five digits: {', '.join(same)}"] if same else []
    parts += (
        [f"not after correction for {len(comparison.differences)} comparisons: {', '.join(alone)}"] if alone else []
    )
    return f"{names}: {'; '.join(parts)}."


def _held(group: Group, metric: str, one: Difference, name: str) -> str:
    p = f"p {one.corrected:.2g}" if one.corrected >= 0.001 else "p < 0.001"
    return f"{group.name} has {verdict(metric, one)} {name}, {change(metric, one)}, {p}"


def _within(metric: str, one: Difference, name: str) -> str:
    return f"{_signed(metric, one.low)} to {_signed(metric, one.high)}{_unit(metric)} ({name})"


def _reach(comparison: Comparison) -> str:
    assert comparison.target
    metric, level = comparison.target
    parts = [f"{name} {reach(found)}" for name, found in comparison.reached.items()]
    sign = "at least" if higher_is_better(metric) else "at most"
    return f"{_long(metric, comparison)} of {sign} {value(metric, level)} is reached by: " + "; ".join(parts) + "."


def reach(found: Reached) -> str:
    """How fast a target is reached."""
    runs = f"{found.reaching} of {found.total} runs"
    if not math.isfinite(found.epochs):
        return runs
    epochs = f"{found.epochs:g} epoch{'' if found.epochs == 1 else 's'}"
    seconds = f", {found.seconds:.3g} s of training" if math.isfinite(found.seconds) else ""
    return f"{runs}, in the median after {epochs}{seconds}"


def _long(metric: str, comparison: Comparison) -> str:
    kind = metric.partition("/")[0]
    text = f"{SPLITS.get(kind, '')} {comparison.name_of(metric)}".strip()
    return text[0].upper() + text[1:]


def _named(runs: pd.DataFrame, key: str) -> str:
    """All values of a key."""
    return "/".join(map(str, runs[key].dropna().unique())) if key in runs else ""


def _unit(metric: str) -> str:
    return " points" if is_share(metric) else ""


def _bare(metric: str, number: float) -> str:
    return f"{100 * number:.1f}" if is_share(metric) else f"{number:.4g}"


def _signed(metric: str, number: float) -> str:
    return f"{100 * number:+.2f}" if is_share(metric) else f"{number:+.3g}"


def _some(items: Sequence[object]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(map(str, items[:SHOWN])) + more


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
