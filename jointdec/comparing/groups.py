"""Groups of runs that differ in nothing but what is compared, and the seed.

A comparison tells something of a formulation only if everything else is the same: the data, the budget, the rest of
the configuration. So a difference that ``by`` does not name is refused, with its values, until it is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from jointdec.config import GROUPS
from jointdec.errors import UserError, did_you_mean
from jointdec.reporting.runs import FACTS

COUNTED = ("finished", "specimen_failed")  # outcomes of runs that were trained to their end
DIVERGED = "diverged"
REPEATED = "repeated"  # an earlier run of the same configuration and seed
IRRELEVANT = ("seed", "tracking.", "data.cache")  # seeds are paired; where a record lies trains nothing
DIGEST = "data_digest"
PROBLEM = "problem"
DECIDED = {  # what else differs where the first key does
    "data": (DIGEST,),
    PROBLEM: ("data", DIGEST, "model", "loss.weights", "loss.terms"),
}
NONE = "none"  # stands for a key that a run lacks
SHOWN = 4  # values named in a refusal


@dataclass(frozen=True)
class Group:
    """The runs of one group.

    Attributes:
        name: as the report calls it.
        runs: those that count, rows of `load_runs`; column ``pair`` says which run of another group is its like.
        diverged: those that diverged; they count as such, and have no final metrics.
        left_out: outcome -> ids of the others: pruned, interrupted, failed, running, repeated.
    """

    name: str
    runs: pd.DataFrame
    diverged: pd.DataFrame
    left_out: dict[str, list[str]]

    @property
    def divergence_steps(self) -> list[int]:
        """Where those that diverged did, as far as it was recorded."""
        if "divergence.step" not in self.diverged:
            return []
        return [int(step) for step in self.diverged["divergence.step"].dropna()]

    @property
    def all(self) -> pd.DataFrame:
        """Those that count and those that diverged."""
        return pd.concat([self.runs, self.diverged]) if len(self.diverged) else self.runs


def make_groups(runs: pd.DataFrame, by: Sequence[str], allow: Sequence[str]) -> list[Group]:
    """Group runs by configuration keys, in the order in which the first of each group started.

    Args:
        runs: of `load_runs`.
        by: keys, or groups of the configuration (``loss`` stands for ``loss.name``).
        allow: further keys, and groups, in which runs may differ.

    Raises:
        UserError: nothing has such a key, no run was trained to its end, or runs differ in what was not allowed.
    """
    by = [key.removesuffix(".name") for key in by]  # loss.name is what loss decides, with all that belongs to it
    columns = [_column(key, runs) for key in by]
    for key in allow:
        if key != DIGEST and not any(column.startswith(f"{key}.") for column in _keys(runs)):
            _column(key, runs)
    runs = runs.assign(**{c: runs[c].astype(object).where(runs[c].notna(), NONE) for c in columns})
    ended = runs[runs["outcome"].isin([*COUNTED, DIVERGED])]
    if not len(ended):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in runs["outcome"].value_counts().items())
        raise UserError(f"No run was trained to its end ({counts}): there is nothing yet.")
    _refuse_differences(ended, by, columns, allow)
    free = [key for key in varying(ended) if _is_below(key, allow) and not _is_below(key, by)]
    groups = []
    for values, rows in runs.groupby(columns, sort=False):
        name = ", ".join(_label(key, column, value) for key, column, value in zip(by, columns, values, strict=True))
        group = _group(name, rows, free)
        if len(group.all):
            groups.append(group)
    return groups


def varying(runs: pd.DataFrame) -> list[str]:
    """The configuration keys, and the data's digest, in which runs differ; a key that some lack is one."""
    keys = [key for key in _keys(runs) if not key.startswith(IRRELEVANT)] + [DIGEST]
    return [key for key in keys if runs[key].nunique(dropna=False) > 1]


def _group(name: str, rows: pd.DataFrame, free: Sequence[str]) -> Group:
    ended = rows[rows["outcome"].isin([*COUNTED, DIVERGED])]
    pairs = list(ended[["seed", *free]].itertuples(index=False, name=None))
    ended = ended.assign(pair=pd.Series(pairs, index=ended.index, dtype=object))
    again = ended.duplicated("pair", keep="last")
    left_out = {
        str(outcome): part["run_id"].tolist()
        for outcome, part in rows[~rows.index.isin(ended.index)].groupby("outcome")
    }
    if again.any():
        left_out[REPEATED] = ended[again]["run_id"].tolist()
    ended = ended[~again]
    diverged = ended["outcome"] == DIVERGED
    if "divergence.step" in ended:  # a specimen that went NaN failed as it declares, and diverged
        diverged |= ended["divergence.step"].notna()
    return Group(name, ended[~diverged], ended[diverged], left_out)


def _column(key: str, runs: pd.DataFrame) -> str:
    """The column that a key of ``by`` means."""
    if key in _keys(runs):
        return key
    if f"{key}.name" in runs:
        return f"{key}.name"
    known = [*GROUPS, "data", *_keys(runs)]
    raise UserError(
        f"No run has the configuration key {key!r}{did_you_mean(key, known)}: by and allow take groups such as loss or "
        "model, and keys such as model.alpha; python -m jointdec.run --cfg job shows them."
    )


def _keys(runs: pd.DataFrame) -> list[str]:
    return [c for c in runs if c not in FACTS and "/" not in c and not c.startswith("divergence.")]


def _label(key: str, column: str, value: object) -> str:
    return str(value) if column != key or column.endswith(".name") else f"{key.rpartition('.')[2]}={value}"


def _is_below(key: str, parents: Sequence[str]) -> bool:
    """Whether the key is one of these, belongs to a group among them, or is decided by one."""
    decided = [key for parent in parents for key in DECIDED.get(parent.partition(".")[0], ())]
    return any(key == parent or key.startswith(f"{parent}.") for parent in (*parents, *decided))


def _refuse_differences(ended: pd.DataFrame, by: Sequence[str], columns: list[str], allow: Sequence[str]) -> None:
    """Runs of one group must be alike; of several, but for what ``by`` names."""
    different = [key for key in varying(ended) if not _is_below(key, allow)]
    if PROBLEM in different and not _is_below(PROBLEM, by):
        raise UserError(
            f"The runs are of different problems, whose heads and metrics are not the same things: "
            f"{_found(ended, [PROBLEM])}. Pick those of one with filter or multirun, or compare them all the same with "
            f"allow=[{','.join([*allow, PROBLEM])}]."
        )
    for values, rows in ended.groupby(columns, sort=False):
        inside = [key for key in varying(rows) if key in different]
        if inside:
            key = inside[0]
            where = ", ".join(map(str, values))
            more = ",".join([*by, key.removesuffix(".name")])
            raise UserError(
                f"The runs of {where} are not comparable with each other: they differ in {_found(rows, inside)}. Pick "
                f"some with filter or multirun, or make groups with by=[{more}], or take them together with "
                f"allow=[{','.join([*allow, *inside])}]."
            )
    between = [key for key in different if not _is_below(key, by)]
    if between:
        raise UserError(
            f"The groups are not comparable: besides {', '.join(by)} they differ in {_found(ended, between)}. Pick "
            f"runs with filter or multirun, or compare them all the same with allow=[{','.join([*allow, *between])}]."
        )


def _found(runs: pd.DataFrame, keys: Sequence[str]) -> str:
    """The keys with the values that they have."""
    parts = []
    for key in keys:
        values = [NONE if pd.isna(value) else str(value) for value in runs[key].unique()]
        more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
        parts.append(f"{key} ({', '.join(values[:SHOWN])}{more})")
    return "; ".join(parts)
