"""What a comparison comes to: statistics of each group, differences from the baseline, how fast a target is reached."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from jointdec.comparing.groups import Group
from jointdec.comparing.measured import Curves, Measured, check_metrics, default_metrics, measured
from jointdec.comparing.settings import CompareConfig, Target
from jointdec.errors import UserError, did_you_mean
from jointdec.reporting.curve_arrays import SECONDS
from jointdec.reporting.names import higher_is_better, is_share, name_of
from jointdec.reporting.statistics import Difference, Summary, corrected, difference, summarize


class Reached(NamedTuple):
    """How fast the runs of a group reach a target; infinite for half of them or more means that it is not reached.

    Attributes:
        reaching: runs that do, of ``total`` whose curves are known, those that diverged among them.
        epochs, seconds: medians over all of them, of epochs and of training time without validation and compilation.
    """

    reaching: int
    total: int
    epochs: float
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """See the module.

    Attributes:
        by: what made the groups.
        groups: in their order, the baseline first.
        measured: what their runs recorded.
        metrics: names in MLflow.
        summaries: (group, metric) -> what its runs come to; missing where none has a finite value.
        differences: (group, metric) -> it minus the baseline; missing for the baseline, and where no seed is shared.
        curves: group -> its curves.
        target: a value of a metric of the validation split; None where no curve is known.
        reached: group -> how fast it is reached.
        excluded: metric -> ids of finished runs whose value is not finite.
    """

    by: Sequence[str]
    groups: Sequence[Group]
    measured: Measured
    metrics: Sequence[str]
    summaries: Mapping[tuple[str, str], Summary]
    differences: Mapping[tuple[str, str], Difference]
    curves: Mapping[str, Curves]
    target: Target | None
    reached: Mapping[str, Reached]
    excluded: Mapping[str, Sequence[str]]

    @property
    def baseline(self) -> Group:
        """What the others are held against."""
        return self.groups[0]

    @property
    def seeds(self) -> int:
        """The most runs that a group has."""
        return max(len(group.runs) for group in self.groups)

    def name_of(self, metric: str) -> str:
        """As people call it, without its split."""
        return name_of(metric, self.measured.words)


def compare(groups: Sequence[Group], curves: Mapping[str, Curves], settings: CompareConfig) -> Comparison:
    """Work everything out.

    Raises:
        UserError: the baseline is no group, or no run has one of the metrics.
    """
    groups = _baseline_first(groups, settings.baseline)
    found = measured(groups, curves)
    metrics = settings.metrics or default_metrics(found, groups)
    check_metrics(metrics, found, groups)
    values = {(g.name, metric): _by_pair(g.runs, metric) for g in groups for metric in metrics}
    summaries = {key: summarize(list(sample.values())) for key, sample in values.items() if sample}
    first = groups[0].name
    raw = {
        (g.name, metric): one
        for g in groups[1:]
        for metric in metrics
        if (one := difference(values[g.name, metric], values[first, metric])) is not None
    }
    differences = dict(zip(raw, corrected(list(raw.values())), strict=True))
    target = settings.goal or _auto_target(found, groups[0], curves[first])
    reached = {g.name: _reached(curves[g.name], target) for g in groups} if target else {}
    excluded = {metric: ids for metric in metrics if (ids := _not_finite(groups, metric))}
    return Comparison(settings.by, groups, found, metrics, summaries, differences, curves, target, reached, excluded)


def _baseline_first(groups: Sequence[Group], name: str | None) -> list[Group]:
    names = [group.name for group in groups]
    if name is not None and name not in names:
        raise UserError(f"baseline is {name!r}{did_you_mean(name, names)}, but the groups are: {'; '.join(names)}.")
    return sorted(groups, key=lambda group: group.name != name) if name is not None else list(groups)


def _by_pair(runs: pd.DataFrame, metric: str) -> dict[Hashable, float]:
    if metric not in runs:
        return {}
    return {pair: float(value) for pair, value in zip(runs["pair"], runs[metric], strict=True) if math.isfinite(value)}


def _not_finite(groups: Sequence[Group], metric: str) -> list[str]:
    return [
        run_id
        for group in groups
        if metric in group.runs
        for run_id, value in zip(group.runs["run_id"], group.runs[metric], strict=True)
        if not math.isfinite(value)
    ]


def _auto_target(found: Measured, baseline: Group, curves: Curves) -> Target | None:
    """What half of the baseline's runs have at their end of `Measured.merit`; None if that is a share of 0."""
    known = [curves.epochs[run] for run in baseline.runs["run_id"] if run in curves.epochs]
    metric = found.merit("val", {name for arrays in known for name in arrays})
    if metric is None:
        return None
    last = [value for arrays in known if metric in arrays and math.isfinite(value := float(arrays[metric][-1]))]
    level = float(np.median(last)) if last else math.nan
    return Target(metric, level) if level > 0 or (last and not is_share(metric)) else None


def _reached(curves: Curves, target: Target) -> Reached:
    epochs, seconds = [], []
    for arrays in curves.epochs.values():
        if target.metric not in arrays:
            continue
        values = arrays[target.metric]
        there = values >= target.value if higher_is_better(target.metric) else values <= target.value
        first = int(np.argmax(there)) if there.any() else None
        epochs.append(math.inf if first is None else first + 1.0)
        if SECONDS in arrays:
            seconds.append(math.inf if first is None else float(arrays[SECONDS][: first + 1].sum()))
    count = sum(math.isfinite(epoch) for epoch in epochs)
    return Reached(count, len(epochs), _median(epochs), _median(seconds))


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan
