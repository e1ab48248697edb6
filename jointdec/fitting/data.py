"""What `jointdec.fit` is asked for, checked, and its data to train on and to hold out, as sources of batches."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from jointdec.errors import BadArgument
from jointdec.training.arrays import is_mapped
from jointdec.training.checks import require_compiled, require_own_optimizer
from jointdec.training.compiled import Jit
from jointdec.training.feed import DatasetFeed
from jointdec.training.inputs import Examples, read_examples, split_off, unpack_validation
from jointdec.training.own_model import Order, Source, dataset_source, order_of, source_of

BATCH_SIZE = 32  # Keras's
INT32, INT64 = 2**31 - 1, 2**63 - 1
BOUNDS = {  # least and most
    "epochs": (1, INT32),
    "batch_size": (1, INT32),
    "initial_epoch": (0, INT32),
    "seed": (0, INT64),
    "norms": (1, INT32),
    "memory": (1, INT64),
}
CHOICES = {
    "jit": (True, False, "auto"),
    "on_divergence": ("stop", "skip", "continue"),
    "shuffle": (True, False),
}


@dataclass(frozen=True)
class Asked:
    """See `jointdec.fit`.

    Raises:
        BadArgument: a value that its name may not have.
    """

    epochs: int
    batch_size: int | None
    shuffle: bool
    initial_epoch: int
    seed: int
    jit: Jit
    on_divergence: str
    norms: int
    memory: int | None

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is None and name in ("batch_size", "memory"):
                continue
            if not _is_whole(value) or not least <= value <= most:
                raise BadArgument(f"{name} is {value!r}, but must be a whole number from {least} to {most}.")
        if self.initial_epoch >= self.epochs:
            raise BadArgument(
                f"initial_epoch is {self.initial_epoch} and epochs {self.epochs}, so there is nothing to train: "
                "epochs is the number of the last epoch, not how many there are."
            )
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if not isinstance(value, bool | str) or value not in choices:
                raise BadArgument(f"{name} is {value!r}, but must be one of {', '.join(map(repr, choices))}.")


def require_names(tracking: Any, experiment: Any, name: Any, tags: Any) -> None:  # noqa: ANN401 (whatever was given)
    """Raise BadArgument for what cannot name a record; whether there is such a store is asked later."""
    for what, text in {"tracking": tracking, "experiment": experiment, "name": name}.items():
        if not (text is None and what == "name") and not (isinstance(text, str) and text.strip()):
            raise BadArgument(f"{what} is {text!r}, but must be a text of at least one character.")
    if tags is None:
        return
    if not isinstance(tags, Mapping) or not all(isinstance(part, str) for pair in tags.items() for part in pair):
        raise BadArgument(f"tags is {tags!r}, but must be a dict from texts to texts: {{'data': 'first try'}}.")


def _is_whole(value: Any) -> bool:  # noqa: ANN401
    try:
        operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool)


HASHED = 2**30  # bytes of arrays that a digest is made of; a GB takes about a second


class Given(NamedTuple):
    """What `jointdec.fit` was given to learn from, as it was given."""

    x: Any
    y: Any = None
    sample_weight: Any = None
    class_weight: Mapping[int, float] | None = None
    validation_data: Any = None
    validation_split: float = 0.0


class Prepared(NamedTuple):
    """What is trained on.

    Attributes:
        train, val: sources of batches.
        examples: to train on; None of a data set.
        order: epoch -> rows of the examples.
        held_out: how many examples are validated on; None of a data set.
    """

    train: Source
    val: Source | None
    examples: Examples | None
    order: Order | None
    held_out: int | None

    @property
    def described(self) -> tuple[str, str, dict[str, Sequence[int]]]:
        """Name, digest and shapes, for the record."""
        if self.examples is None:
            return "tf.data.Dataset", "none", {}
        leaves = {
            "/".join(map(str, path)): leaf
            for path, leaf in keras.tree.flatten_with_path(self.examples.tree())
            if leaf is not None
        }
        return "arrays", _digest(list(leaves.values())), {name: leaf.shape for name, leaf in leaves.items()}


def prepare(model: keras.Model, given: Given, asked: Asked) -> Prepared:
    """Check, split and convert.

    Raises:
        UserError: one of `jointdec.errors`.
    """
    if isinstance(given.x, tf.data.Dataset):
        return _dataset(model, given, asked)
    examples = read_examples(model, given.x, given.y, given.sample_weight, given.class_weight)
    val = None
    if given.validation_data is not None:
        if isinstance(given.validation_data, tf.data.Dataset):
            val = dataset_source(given.validation_data, asked.memory)
        else:
            val_examples = unpack_validation(model, given.validation_data)
    elif given.validation_split:
        examples, val_examples = split_off(examples, given.validation_split)
    else:
        val_examples = None
    order = order_of(asked.seed, examples.size, shuffle=asked.shuffle)
    size = asked.batch_size or BATCH_SIZE
    train = source_of(examples, order, size, asked.memory)
    if val is not None:
        return Prepared(train, val, examples, order, None)
    if val_examples is None:
        return Prepared(train, None, examples, order, None)
    in_order = order_of(0, val_examples.size, shuffle=False)
    return Prepared(train, source_of(val_examples, in_order, size, asked.memory), examples, order, val_examples.size)


def _dataset(model: keras.Model, given: Given, asked: Asked) -> Prepared:
    require_compiled(model)
    require_own_optimizer(model)
    for name in ("y", "sample_weight", "class_weight"):
        if getattr(given, name) is not None:
            raise BadArgument(
                f"{name} is given beside a tf.data.Dataset, whose batches hold it already: leave {name} away."
            )
    if given.validation_split:
        raise BadArgument("validation_split cannot cut a tf.data.Dataset: give validation_data=another_dataset.")
    if asked.batch_size is not None:
        raise BadArgument("batch_size is given beside a tf.data.Dataset, which has its own: leave batch_size away.")
    train = dataset_source(given.x, asked.memory)
    feed = train.feed
    assert isinstance(feed, DatasetFeed)
    model._symbolic_build(data_batch=feed.specs)
    val = None
    if isinstance(given.validation_data, tf.data.Dataset):
        val = dataset_source(given.validation_data, asked.memory)
    elif given.validation_data is not None:
        held = unpack_validation(model, given.validation_data)
        val = source_of(held, order_of(0, held.size, shuffle=False), feed.batches.size, asked.memory)
    return Prepared(train, val, None, None, None)


def _digest(arrays: Sequence[Any]) -> str:
    """Of all numbers; of data in files or beyond HASHED bytes, of shapes and the first rows alone."""
    total = hashlib.blake2b(digest_size=16)
    whole = sum(array.nbytes for array in arrays) <= HASHED and not any(is_mapped(array) for array in arrays)
    for array in arrays:
        total.update(f"{array.dtype}{array.shape}".encode())
        total.update(np.ascontiguousarray(array if whole else array[:1000]).tobytes())
    return total.hexdigest() if whole else f"head-{total.hexdigest()}"
