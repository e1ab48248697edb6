"""Brings the examples of an epoch to the device, chunk by chunk: all at once where they fit, else each chunk ahead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from jointdec.training.program import Chunk

CHUNK = 1000  # steps: a divergence takes no more than so many again, and Python has the word after them
Order = Callable[[int], npt.NDArray[np.integer]]
Data = tuple[Any, ...]  # (x, y) or (x, y, sample_weight), trees of arrays with a row an example


class Batches(NamedTuple):
    """An epoch's batches: ``full`` ones of ``size`` examples, and one with the ``rest``, if there is any."""

    size: int
    full: int
    rest: int

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return self.full + (self.rest > 0)

    @property
    def whole(self) -> int:
        """Examples in the full batches of an epoch."""
        return self.full * self.size


def batches_of(examples: int, batch_size: int) -> Batches:
    """How an epoch falls into batches."""
    full, rest = divmod(examples, batch_size)
    return Batches(batch_size, full, rest)


class Feed(ABC):
    """Where a program's chunks come from.

    Attributes:
        batches: of an epoch.
        capacity: steps in a chunk. Chunk c of an epoch has the steps from c * capacity on.
    """

    batches: Batches
    capacity: int

    @abstractmethod
    def chunk(self, epoch: int, number: int) -> Chunk:
        """A chunk of whole batches of an epoch."""

    @abstractmethod
    def last(self, epoch: int) -> Chunk:
        """The incomplete batch that ends an epoch, as a chunk of one step."""


class Resident(Feed):
    """All examples lie on the device; a chunk is a list of rows.

    Args:
        data: arrays; they are copied to the device.
        order: epoch -> the rows of its examples in their order.
        batch_size: examples in a batch.
    """

    def __init__(self, data: Data, order: Order, batch_size: int) -> None:
        self._data = tf.nest.map_structure(tf.constant, data)
        self.order = order
        self.batches = batches_of(len(tf.nest.flatten(data)[0]), batch_size)
        self.capacity = max(1, min(CHUNK, self.batches.full))
        self._kept: tuple[int, npt.NDArray[np.integer]] | None = None

    def chunk(self, epoch: int, number: int) -> Chunk:
        """See `Feed.chunk`."""
        size = self.capacity * self.batches.size
        rows = self._rows(epoch)[: self.batches.whole][number * size : (number + 1) * size]
        return Chunk(self._data, tf.constant(_padded(rows.astype(np.int32), size)))

    def last(self, epoch: int) -> Chunk:
        """See `Feed.last`."""
        return Chunk(self._data, tf.constant(self._rows(epoch)[-self.batches.rest :].astype(np.int32)))

    def forget_order(self) -> None:
        """Ask for the order of an epoch anew."""
        self._kept = None

    def _rows(self, epoch: int) -> npt.NDArray[np.integer]:
        if self._kept is None or self._kept[0] != epoch:
            self._kept = epoch, self.order(epoch)
        return self._kept[1]


class Streamed(Feed):
    """The examples stay where they are, e.g. in memory-mapped files; while a chunk trains, the next one is read.

    Args:
        data: arrays that give rows by indices.
        order: epoch -> the rows of its examples in their order.
        batch_size: examples in a batch.
        memory: bytes that chunks may take on the device: the one that trains, the one that is read, and its copy.
    """

    def __init__(self, data: Data, order: Order, batch_size: int, memory: int) -> None:
        self._data, self._order = data, order
        arrays = tf.nest.flatten(data)
        self.batches = batches_of(len(arrays[0]), batch_size)
        a_batch = batch_size * sum(array.nbytes // max(1, len(array)) for array in arrays)
        self.capacity = max(1, min(CHUNK, self.batches.full, memory // (3 * max(1, a_batch))))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="jointdec-read")
        self._ahead: dict[tuple[int, int], Future[Chunk]] = {}

    def chunk(self, epoch: int, number: int) -> Chunk:
        """See `Feed.chunk`."""
        ready = self._ahead.pop((epoch, number), None)
        self._ahead = {(epoch, number): ready or self._reader.submit(self._read, epoch, number)}
        chunk = self._ahead[epoch, number].result()  # kept: a step of it may be taken again
        following = (epoch, number + 1) if (number + 1) * self.capacity < self.batches.full else (epoch + 1, 0)
        if following != (epoch, number):
            self._ahead[following] = self._reader.submit(self._read, *following)
        return chunk

    def last(self, epoch: int) -> Chunk:
        """See `Feed.last`."""
        return self._gathered(self._order(epoch)[-self.batches.rest :], self.batches.rest)

    def _read(self, epoch: int, number: int) -> Chunk:
        size = self.capacity * self.batches.size
        rows = self._order(epoch)[: self.batches.whole][number * size : (number + 1) * size]
        return self._gathered(rows, size)

    def _gathered(self, rows: npt.NDArray[np.integer], size: int) -> Chunk:
        data = tf.nest.map_structure(lambda array: tf.constant(_padded(_rows_of(array, rows), size)), self._data)
        return Chunk(data, tf.range(size))


def _rows_of(array: Any, rows: npt.NDArray[np.integer]) -> npt.NDArray[Any]:  # noqa: ANN401 (gives rows by indices)
    """Rows of an array that may lie in a file, which is read from front to back whatever their order."""
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
        return np.asarray(array[rows[0] : rows[-1] + 1])
    ranked = np.argsort(rows, kind="stable")
    read = np.asarray(array[rows[ranked]])
    gathered = np.empty_like(read)
    gathered[ranked] = read
    return gathered


def _padded(rows: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """With zeros behind, up to so many."""
    if len(rows) == size:
        return rows
    return np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), rows.dtype)])
