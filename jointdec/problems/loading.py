"""What a data function of the user's gives, as a checked `jointdec.dataset.Dataset`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jointdec.dataset import Array, Dataset, Progress, Split, map_leaves
from jointdec.errors import BadProblem
from jointdec.labels import NO_DISTRIBUTION, checked, label_problem
from jointdec.problems.blame import blamed, no_network

if TYPE_CHECKING:
    from jointdec.config import DataConfig
    from jointdec.problem import Problem

SEED = 0  # of the split, not of the run: all runs are judged on the same rows
SMALLEST = 3  # examples, one for each split


def load_own(problem: Problem, config: DataConfig, progress: Progress) -> Dataset:
    """Call the data function with its keys, check what it gives, and split it where it does not by itself.

    Without splits of their own a tenth of the examples each, drawn with a fixed seed, are for validation and testing.

    Raises:
        BadProblem: the function fails, fetches something, or gives what cannot be trained on.
    """
    where = f"data() in {problem.where}"
    keys = {member.name: getattr(config, member.name) for member in fields(config) if member.name != "name"}
    progress("data", 0, 1)
    with no_network(where), blamed(where):
        given = problem.data(**keys)
    if isinstance(given, Dataset):
        splits = {name: _split(split, problem, f"the {name} split of {where}") for name, split in given.splits.items()}
        dataset = given.with_splits(splits)
    else:
        dataset = _drawn(_split(given, problem, where), where)
    progress("data", 1, 1)
    for head, weights in dataset.train.weights.items():
        if not (weights > 0).any():
            raise BadProblem(f"y[{head!r}] of {where} has no label in the train split: all its weights are 0.")
    warning = label_problem(dataset.train, problem.heads, "the train split")
    return replace(
        dataset,
        name=problem.name,
        source=dataset.source or where,
        warnings=(*dataset.warnings, *([f"{warning} {NO_DISTRIBUTION}"] if warning else []), *_without_labels(dataset)),
    )


def _split(given: Any, problem: Problem, where: str) -> Split:  # noqa: ANN401 (what a function of the user's gives)
    if not isinstance(given, Split):
        if not isinstance(given, tuple) or len(given) not in (2, 3):
            raise BadProblem(f"{where} gives {_described(given)}, but must give x, y or x, y, weights.")
        x, y, weights = (*given, {}) if len(given) == 2 else given
        given = Split(x, _by_head(y, problem, "y", where), _by_head(weights or {}, problem, "weights", where))
    x = map_leaves(_array, given.x)
    y, weights = ({name: _array(array) for name, array in each.items()} for each in (given.y, given.weights))
    return checked(Split(x, y, weights, given.names), problem.heads, where)


def _by_head(given: Any, problem: Problem, what: str, where: str) -> Mapping[str, Any]:  # noqa: ANN401
    if isinstance(given, Mapping):
        return given
    if hasattr(given, "columns"):  # a table
        return {str(name): given[name] for name in given.columns}
    if len(problem.heads) == 1:
        return {next(iter(problem.heads)): given}
    raise BadProblem(
        f"{what} of {where} is {_described(given)}, but must be a dict by head: {', '.join(problem.heads)}."
    )


def _array(given: Any) -> Array:  # noqa: ANN401 (an array, or a column or table of pandas)
    return np.asarray(given.to_numpy() if hasattr(given, "to_numpy") else given)


def _drawn(whole: Split, where: str) -> Dataset:
    size = len(whole)
    if size < SMALLEST:
        raise BadProblem(f"{where} gives {size} rows, but at least {SMALLEST} are needed: to train, validate and test.")
    order = np.random.default_rng(SEED).permutation(size)
    held_out = max(1, size // 10)
    whole = replace(whole, origin=np.arange(size))
    test, val, train = (whole.rows(np.sort(part)) for part in np.split(order, [held_out, 2 * held_out]))
    return Dataset(train, val, test)


def _without_labels(dataset: Dataset) -> list[str]:
    return [
        f"No {head} label is there in the {name} split: its loss and metrics are 0 there."
        for name, split in dataset.splits.items()
        for head, weights in split.weights.items()
        if not (weights > 0).any()
    ]


def _described(given: Any) -> str:  # noqa: ANN401
    return f"a tuple of {len(given)}" if isinstance(given, tuple) else f"a {type(given).__name__}"
