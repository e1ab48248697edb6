"""What the runs of a comparison measured: their curves, their heads, terms and metrics, and which can be compared.

Nothing here knows a head by name: the heads are the keys ``loss.weights.HEAD`` of the runs, the terms over several
heads ``loss.terms.TERM``, and a metric is whatever else an epoch recorded of the validation or test split. The curves
of a group's runs lie on common axes, with few enough points to draw, whatever the number of runs and steps.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from jointdec.comparing.groups import PROBLEM, Group
from jointdec.errors import UserError, did_you_mean
from jointdec.reporting.curve_arrays import SECONDS, axis_of
from jointdec.reporting.curves import finite
from jointdec.reporting.names import higher_is_better, words_of
from jointdec.reporting.runs import iterate_curves
from jointdec.training.result import Steps, Values

POINTS = 200  # of a curve over the steps: as many as a figure of a hand's width can show
NAMES = ("step/", "layer/", "val/", SECONDS)
SPLITS = ("test", "val", "train")  # which are asked for metrics, the first that was measured
WEIGHTS, TERMS = "loss.weights.", "loss.terms."
OWN_LOSSES = ("mse", "answer")  # formulations that train the heads with another function than theirs


@dataclass(frozen=True)
class Curve:
    """One quantity of all runs of a group.

    Attributes:
        steps: (points,) optimizer steps done at each point, the middle of what it is a mean of.
        values: (runs, points); NaN where a run has no finite value.
    """

    steps: Values
    values: Values


@dataclass(frozen=True)
class Curves:
    """A group's.

    Attributes:
        curves: name as in curves.npz -> the curve.
        epochs: run id -> its ``val/…`` and ``seconds`` as they were recorded, (epochs,) each.
        missing: ids of runs that left no curves.
    """

    curves: Mapping[str, Curve]
    epochs: Mapping[str, Mapping[str, Values]]
    missing: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Measured:
    """What there is, without splits, head by head in the order in which the runs record it.

    Attributes:
        problem: of the runs; empty if they are of several, or of one that is not known.
        heads: names, which are those of their losses.
        terms: over several heads.
        metrics: all others, those over all heads last.
        words: what these are called where it is not just by their names.
        functions: what the heads' losses are; values of several cannot be held against each other.
        weighted_alike: whether all runs weight their losses in the same way.
    """

    problem: str
    heads: Sequence[str]
    terms: Sequence[str]
    metrics: Sequence[str]
    words: Mapping[str, str]
    functions: Sequence[str]
    weighted_alike: bool

    @property
    def losses(self) -> list[str]:
        """Those of the heads, and the terms; the total alone where no head is known."""
        return [*self.heads, *self.terms] or ["loss"]

    def merit(self, split: str, recorded: Container[str]) -> str | None:
        """What says best how good a run is, of what was recorded of a split: the last metric of which more is better.

        Where there is none, the last metric; where there is none at all, the total loss if the runs' can be compared.
        """
        metrics = [name for metric in self.metrics if (name := f"{split}/{metric}") in recorded]
        total = f"{split}/loss"
        alike = self.weighted_alike and len(self.functions) == 1 and total in recorded
        return next(reversed([*filter(higher_is_better, metrics)] or metrics or [total] * alike), None)

    def head_name(self, head: str) -> str:
        """What people call the head itself."""
        return self.words.get(f"head/{head}", head.replace("_", " "))

    def of_head(self, head: str) -> list[str]:
        """The head's metrics."""
        return [name for name in self.metrics if head_of(name, self.heads) == head]


def measured(groups: Sequence[Group], curves: Mapping[str, Curves]) -> Measured:
    """Find out from the runs' records and their curves, which alone keep an order."""
    runs = pd.concat([group.all for group in groups])
    recorded = list(dict.fromkeys([*(name for found in curves.values() for name in found.curves), *runs]))
    steps = [name.removeprefix("step/") for name in recorded if name.startswith("step/")]
    terms = _sorted_like(steps, _below(TERMS, runs))
    heads = _below(WEIGHTS, runs) or [name for name in steps if name not in ("loss", "grad_norm", *terms)]
    heads = _sorted_like(steps, heads)
    judged = dict.fromkeys(name.partition("/")[2] for name in recorded if name.startswith(("val/", "test/")))
    metrics = [name for name in judged if name not in ("loss", *heads, *terms)]
    metrics.sort(key=lambda name: heads.index(head) if (head := head_of(name, heads)) else len(heads))
    found = runs[PROBLEM].dropna().unique() if PROBLEM in runs else []
    problem = str(found[0]) if len(found) == 1 else ""
    words = words_of(problem)
    own = {head: f"{head} loss".replace("_", " ") for head in heads} | {term: f"{term} term" for term in terms}
    keys = [key for key in runs if key.startswith((WEIGHTS, TERMS))]
    alike = all(runs[key].nunique(dropna=False) == 1 for key in keys)
    return Measured(problem, heads, terms, metrics, {**own, **words}, _functions(runs, words), alike)


def head_of(metric: str, heads: Sequence[str]) -> str | None:
    """The head whose metric it is: its name begins with the head's, or with the singular of that."""
    having = [head for head in heads if metric.startswith((f"{head}_", f"{head.removesuffix('s')}_"))]
    return max(having, key=len, default=None)


def default_metrics(found: Measured, groups: Sequence[Group]) -> list[str]:
    """The heads' losses, if they are the same functions in all runs, and all metrics.

    Of the test split where all runs were tested, else of the validation split after the last epoch, else of training;
    without what a group lacks altogether, if there is anything that all have.
    """
    ended = [group.runs for group in groups if len(group.runs)] or [group.all for group in groups]
    losses = found.losses if len(found.functions) == 1 else []
    for split in SPLITS:
        names = [f"{split}/{name}" for name in (*losses, *found.metrics)]
        known = [runs.reindex(columns=names).notna() for runs in ended]
        if split != "test" or all(table.any(axis=1).all() for table in known):
            for of_groups in (all, any):
                if kept := [name for name in names if of_groups(table[name].any() for table in known)]:
                    return kept
    return []


def check_metrics(metrics: Sequence[str], found: Measured, groups: Sequence[Group]) -> None:
    """Refuse what cannot be compared.

    Raises:
        UserError: no run has one of the metrics, or their values are of different functions.
    """
    runs = pd.concat([group.all for group in groups])
    known = [column for column in runs if "/" in column]
    ended = any(len(group.runs) for group in groups)
    if not metrics and ended:
        raise UserError(f"No run has a loss or metric of any split that could be compared; there are {_list(known)}.")
    for metric in metrics:
        split, _, name = metric.rpartition("/")
        if metric not in known and ended:
            raise UserError(f"No run has the metric {metric!r}{did_you_mean(metric, known)}; there are {_list(known)}.")
        if name in ("loss", *found.losses) and len(found.functions) > 1:
            others = f"compare {', '.join(found.metrics)}" if found.metrics else "pick runs of one of them with filter"
            raise UserError(
                f"metrics has {metric}, but the runs' losses are different functions ({', '.join(found.functions)}), "
                f"so that their values cannot be held against each other: {others}."
            )
        if name == "loss" and not found.weighted_alike:
            parts = " and ".join(f"{split}/{loss}" for loss in found.losses)
            raise UserError(
                f"metrics has {metric}, the weighted sum of the heads' losses, but the runs' loss.weights differ: "
                f"compare {parts}."
            )


def _functions(runs: pd.DataFrame, words: Mapping[str, str]) -> list[str]:
    names = runs["loss.name"].unique() if "loss.name" in runs else [""]
    usual = words.get("heads' losses", "the heads' own")
    return list(dict.fromkeys(f"that of {name}" if name in OWN_LOSSES else usual for name in names))


def _below(prefix: str, runs: pd.DataFrame) -> list[str]:
    """The last parts of the configuration keys that begin so and that a run has."""
    return [key.removeprefix(prefix) for key in runs if key.startswith(prefix) and runs[key].notna().any()]


def _sorted_like(order: Sequence[str], names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _list(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def gather(group: Group, tracking_uri: str | None) -> Curves:
    """Read the curves of a group's runs, those that diverged among them.

    Raises:
        UserError: the store does not answer, or an artifact is no file of arrays.
    """
    read = dict(iterate_curves(group.all, NAMES, tracking_uri))
    found = {run_id: arrays for run_id, arrays in read.items() if arrays is not None}
    names = list(dict.fromkeys(name for arrays in found.values() for name in arrays if "/" in name))
    curves = {name: _curve(name, list(found.values())) for name in names}
    epochs = {
        run_id: {name: values for name, values in arrays.items() if name == SECONDS or name.startswith("val/")}
        for run_id, arrays in found.items()
    }
    return Curves(curves, epochs, [run_id for run_id in read if run_id not in found])


def _curve(name: str, runs: Sequence[Mapping[str, Values]]) -> Curve:
    having = [arrays for arrays in runs if name in arrays]
    if axis_of(name, having[0]) == "epoch":
        return _over_epochs([arrays[name] for arrays in having], max(having, key=lambda arrays: len(arrays[name])))
    return _over_steps([(arrays[axis_of(name, arrays)].astype(np.int64), arrays[name]) for arrays in having])


def _over_epochs(curves: Sequence[Values], longest: Mapping[str, Values]) -> Curve:
    """Each epoch's value, at the step after which it was judged."""
    epochs = longest["epoch"]
    values = np.full((len(curves), len(epochs)), np.nan)
    for row, curve in zip(values, curves, strict=True):
        row[: len(curve)] = finite(curve)
    return Curve((epochs + 1) * len(longest["step"]) / len(epochs), values)


def _over_steps(curves: Sequence[tuple[Steps, Values]]) -> Curve:
    """Means of what is finite in equal parts of the steps, none so narrow that a run was never measured in it.

    Args:
        curves: of each run the steps (k,) and the values (k,).
    """
    count = int(max(at[-1] for at, _ in curves)) + 1
    apart = int(max(at[1] - at[0] if len(at) > 1 else 1 for at, _ in curves))
    width = max(-(-count // POINTS), apart)
    first = width * np.arange(-(-count // width))
    values = np.stack([_means(at // width, finite(curve), len(first)) for at, curve in curves])
    return Curve((first + np.minimum(first + width, count)) / 2, values)


def _means(part: Steps, values: Values, count: int) -> Values:
    """The mean of what is finite in each of so many parts; NaN where nothing is."""
    there = np.isfinite(values)
    total = np.bincount(part[there], values[there], count)
    number = np.bincount(part[there], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
