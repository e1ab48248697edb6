"""What a comparison comes to: statistics of each group, differences from the baseline, how fast a target is reached."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from jointdec.comparing.curves import Curves
from jointdec.comparing.groups import Group
from jointdec.comparing.settings import CompareConfig, Target
from jointdec.errors import UserError, did_you_mean
from jointdec.reporting.curve_arrays import SECONDS
from jointdec.reporting.statistics import Difference, Summary, corrected, difference, summarize
from jointdec.reporting.summary import ACCURACIES, higher_is_better

LOSSES = ("loss", "nodes", "edges")
DEFAULT = ("nodes", "edges", *ACCURACIES)
OWN_LOSSES = ("mse", "answer")  # formulations whose heads' losses are other functions than the cross-entropy of logits
AUTO_TARGET = "val/exact"


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


def compare(groups: Sequence[Group], curves: Mapping[str, Curves], settings: CompareConfig) -> Comparison:
    """Work everything out.

    Raises:
        UserError: the baseline is no group, or no run has one of the metrics.
    """
    groups = _baseline_first(groups, settings.baseline)
    metrics = settings.metrics or default_metrics(groups)
    _check_metrics(metrics, groups)
    values = {(g.name, metric): _by_pair(g.runs, metric) for g in groups for metric in metrics}
    summaries = {key: summarize(list(sample.values())) for key, sample in values.items() if sample}
    first = groups[0].name
    found = {
        (g.name, metric): one
        for g in groups[1:]
        for metric in metrics
        if (one := difference(values[g.name, metric], values[first, metric])) is not None
    }
    differences = dict(zip(found, corrected(list(found.values())), strict=True))
    target = settings.goal or _auto_target(groups[0], curves[first])
    reached = {g.name: _reached(curves[g.name], target) for g in groups} if target else {}
    excluded = {metric: ids for metric in metrics if (ids := _not_finite(groups, metric))}
    return Comparison(settings.by, groups, metrics, summaries, differences, curves, target, reached, excluded)


def default_metrics(groups: Sequence[Group]) -> list[str]:
    """Of the test split where all runs were tested, else of the validation split after the last epoch."""
    runs = pd.concat([group.runs for group in groups])
    names = DEFAULT if len(loss_functions(groups)) == 1 else ACCURACIES
    tested = all(f"test/{name}" in runs and runs[f"test/{name}"].notna().all() for name in names)
    return [f"{'test' if tested else 'val'}/{name}" for name in names]


def loss_functions(groups: Sequence[Group]) -> list[str]:
    """What the heads' losses of the runs are; several cannot be held against each other."""
    losses = pd.concat([group.all for group in groups])["loss.name"].unique()
    return list(dict.fromkeys(f"that of {name}" if name in OWN_LOSSES else "the cross-entropy" for name in losses))


def _baseline_first(groups: Sequence[Group], name: str | None) -> list[Group]:
    names = [group.name for group in groups]
    if name is not None and name not in names:
        raise UserError(f"baseline is {name!r}{did_you_mean(name, names)}, but the groups are: {'; '.join(names)}.")
    return sorted(groups, key=lambda group: group.name != name) if name is not None else list(groups)


def _check_metrics(metrics: Sequence[str], groups: Sequence[Group]) -> None:
    runs = pd.concat([group.all for group in groups])
    known = [column for column in runs if "/" in column]
    for metric in metrics:
        if metric not in known and any(len(group.runs) for group in groups):
            raise UserError(
                f"No run has the metric {metric!r}{did_you_mean(metric, known)}; there are {', '.join(sorted(known))}."
            )
        of_loss = metric.rpartition("/")[2] in LOSSES
        if of_loss and len(functions := loss_functions(groups)) > 1:
            raise UserError(
                f"metrics has {metric}, but the runs' losses are different functions ({', '.join(functions)}), so that "
                f"their values cannot be held against each other: compare {', '.join(ACCURACIES)}."
            )
        weights = [key for key in ("loss.weights.nodes", "loss.weights.edges") if key in runs]
        if metric.endswith("/loss") and any(runs[key].nunique() > 1 for key in weights):
            raise UserError(
                f"metrics has {metric}, the weighted sum of both heads' losses, but the runs' loss.weights differ: "
                f"compare {metric.replace('/loss', '/nodes')} and {metric.replace('/loss', '/edges')}."
            )


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


def _auto_target(baseline: Group, curves: Curves) -> Target | None:
    """What half of the baseline's runs have reached at their end."""
    known = [curves.epochs[run] for run in baseline.runs["run_id"] if run in curves.epochs]
    last = [arrays[AUTO_TARGET][-1] for arrays in known if AUTO_TARGET in arrays]
    level = float(np.median(last)) if last else 0.0
    return Target(AUTO_TARGET, level) if level > 0 else None


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
