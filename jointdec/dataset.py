"""What every data source delivers: splits of examples, and where they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Progress = Callable[[str, int, int], None]  # told (description, done, total) now and then


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set: n examples.

    Attributes:
        x: an array, or a dict, tuple or list of them, each (n, ...).
        y: labels by head, (n, ...) each, see `jointdec.labels`.
        weights: of labels, by head, (n,) or (n, *places); 0 where a label is missing. A head without has them all.
        names: what people call the examples, as molecules by their SMILES; may be empty.
        origin: (n,) the row of each example in the arrays that the splits were drawn from; empty where they were given.
    """

    x: Any
    y: Mapping[str, Array]
    weights: Mapping[str, Array] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    origin: Array = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(next(leaves(self.x)))

    def rows(self, indices: npt.NDArray[np.integer] | slice) -> Split:
        """These examples alone, in this order."""
        names = tuple(np.array(self.names, object)[indices].tolist()) if self.names else ()
        origin = self.origin[indices] if len(self.origin) else self.origin
        y, weights = ({head: array[indices] for head, array in each.items()} for each in (self.y, self.weights))
        return Split(map_leaves(lambda array: array[indices], self.x), y, weights, names, origin)


@dataclass(frozen=True)
class Skipped:
    """A record of the source that could not be used: its line (1-based), its text, and why."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, eq=False)  # arrays have no truth value; equal digests mean equal data
class Dataset:
    """Data, ready to train on.

    A data function of the user's may return one with splits of its own, each a `Split` or a tuple (x, y) or
    (x, y, weights).

    Attributes:
        train, val, test: the splits.
        name: the configuration's name for it.
        source: where the records came from, for people.
        skipped: the records that did not fit.
        warnings: what is wrong with data that are trained on all the same, a sentence each.
        identity: the digest of what these data were made of, where it is not that of their own arrays.
    """

    train: Split
    val: Split
    test: Split
    name: str = ""
    source: str = ""
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    identity: str = ""

    @property
    def splits(self) -> Mapping[str, Split]:
        """All three by name."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def with_splits(self, splits: Mapping[str, Split]) -> Self:
        """The same data set with other splits, all three by name."""
        return replace(self, train=splits["train"], val=splits["val"], test=splits["test"])

    @property
    def missing(self) -> Mapping[str, int]:
        """How many labels of each head are missing, in all splits together; heads that lack none are left out."""
        counts: dict[str, int] = {}
        for split in self.splits.values():
            for head, weights in split.weights.items():
                counts[head] = counts.get(head, 0) + int((weights == 0).sum())
        return {head: count for head, count in counts.items() if count}

    @cached_property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) over the splits' arrays: equal digests mean equal training data."""
        if self.identity:
            return self.identity
        sha = hashlib.sha256()
        for split in self.splits.values():
            for array in (*leaves(split.x), *split.y.values(), *split.weights.values()):
                sha.update(f"{array.dtype}{array.shape}".encode())
                sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()[:16]


def leaves(tree: Any) -> Iterator[Array]:  # noqa: ANN401 (an array, or dicts, tuples and lists of them)
    """The arrays of a tree, dicts in the order of their keys."""
    if isinstance(tree, Mapping):
        for key in sorted(tree):
            yield from leaves(tree[key])
    elif isinstance(tree, tuple | list):
        for item in tree:
            yield from leaves(item)
    else:
        yield tree


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:  # noqa: ANN401
    """The same tree of what the function makes of each array."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)(map_leaves(function, item) for item in tree)
    return function(tree)


def silent(description: str, done: int, total: int) -> None:
    """A `Progress` that tells nobody."""
