"""What the runs of a comparison measured: their heads, terms and metrics, and which of these can be compared.

Nothing here knows a head by name: the heads are the keys ``loss.weights.HEAD`` of the runs, the terms over several
heads ``loss.terms.TERM``, and a metric is whatever else an epoch recorded of the validation or test split.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from jointdec.comparing.curves import Curves
from jointdec.comparing.groups import PROBLEM, Group
from jointdec.errors import UserError, did_you_mean
from jointdec.reporting.names import higher_is_better, words_of

SPLITS = ("test", "val", "train")  # which are asked for metrics, the first that was measured
WEIGHTS, TERMS = "loss.weights.", "loss.terms."
OWN_LOSSES = ("mse", "answer")  # formulations that train the heads with another function than theirs


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
