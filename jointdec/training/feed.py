"""Brings the examples of an epoch to the device, chunk by chunk: all at once where they fit, else each chunk ahead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from jointdec.errors import BadArgument, DataTooLarge
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


Tensor = Any  # TensorFlow has no types
Batch = tuple[Any, ...]
AT_ONCE = 3  # chunks on the device: the one that trains, the one that is read, and its copy


class DatasetFeed(Feed):
    """The batches of a data set, as many in a chunk as the memory allows. The order is the data set's own.

    A data set that does not say how many examples its batches have is gone through once before the training to count.

    Args:
        dataset: of batches x, (x, y) or (x, y, sample_weight); all of one size, but for the last.
        memory: bytes that chunks may take on the device.

    Raises:
        BadArgument: it is endless or empty, or a batch before the last one is smaller than the first.
        DataTooLarge: not even a batch fits.
    """

    def __init__(self, dataset: tf.data.Dataset, memory: int) -> None:
        self._dataset = dataset
        self.batches = _count(dataset)
        first = _as_batch(next(iter(dataset)))
        self.specs = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, a.dtype), first)
        a_batch = sum(tensor.dtype.size * int(tf.size(tensor)) for tensor in tf.nest.flatten(first))
        require_room(self.batches.size, a_batch, memory)
        self.capacity = max(1, min(CHUNK, self.batches.full, memory // (AT_ONCE * max(1, a_batch))))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="jointdec-read")
        self._kept: dict[int, Future[Chunk]] = {}
        self._go_through(-1)

    def chunk(self, epoch: int, number: int) -> Chunk:
        """See `Feed.chunk`. Chunks are read in their order; the one given last can be asked for again."""
        chunk = self._read_until(epoch, number)
        self._kept = {place: each for place, each in self._kept.items() if place >= number}
        return chunk

    def last(self, epoch: int) -> Chunk:
        """See `Feed.last`."""
        return self._read_until(epoch, self._full_chunks)

    @property
    def _full_chunks(self) -> int:
        return -(-self.batches.full // self.capacity)

    def _go_through(self, epoch: int) -> None:
        """Begin at the first batch."""
        self._epoch, self._source, self._asked, self._kept = epoch, iter(self._dataset), 0, {}

    def _read_until(self, epoch: int, number: int) -> Chunk:
        if epoch != self._epoch or (number < self._asked and number not in self._kept):
            self._go_through(epoch)
        for place in range(self._asked, min(number + 2, self._full_chunks + (self.batches.rest > 0))):
            reading = self._reader.submit(self._read, self._source, place)
            if place >= number:
                self._kept[place] = reading
            self._asked = place + 1
        return self._kept[number].result()

    def _read(self, source: Iterator[Any], number: int) -> Chunk:
        if number == self._full_chunks:
            return Chunk(self._next(source), tf.range(self.batches.rest))
        count = min(self.capacity, self.batches.full - number * self.capacity)
        read = [self._next(source) for _ in range(count)]
        read += read[:1] * (self.capacity - count)  # what no step reaches
        data = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *read)
        return Chunk(data, tf.range(self.capacity * self.batches.size))

    def _next(self, source: Iterator[Any]) -> Batch:
        batch = _as_batch(next(source))
        for tensor, spec in zip(tf.nest.flatten(batch), tf.nest.flatten(self.specs), strict=True):
            if tensor.shape[1:] != spec.shape[1:]:
                raise BadArgument(
                    f"A batch of the tf.data.Dataset has the shape {tensor.shape}, and the first one {spec.shape}: all "
                    "must have one, but for the number of examples."
                )
        return batch


def require_room(size: int, a_batch: int, memory: int) -> None:
    """Raise DataTooLarge where chunks of one batch are too large already.

    Args:
        size: examples in a batch.
        a_batch: its bytes.
        memory: bytes that all chunks together may take.
    """
    if AT_ONCE * a_batch > memory:
        raise DataTooLarge(
            f"A batch of {size:,} examples takes {_megabytes(AT_ONCE * a_batch)} with the two that are read ahead, and "
            f"{_megabytes(memory)} are allowed: use a smaller batch_size or a larger memory."
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _as_batch(element: Any) -> Batch:  # noqa: ANN401 (a tree of tensors)
    return element if isinstance(element, tuple) else (element,)


def _count(dataset: tf.data.Dataset) -> Batches:
    number = int(dataset.cardinality())
    if number == tf.data.INFINITE_CARDINALITY:
        raise BadArgument("The tf.data.Dataset is endless: give it an end with .take(number of batches).")
    spec = tf.nest.flatten(dataset.element_spec)[0].shape
    if number >= 0 and spec.rank and spec[0] is not None:
        sizes = [int(spec[0])] * number
    else:
        sizes = [int(tf.nest.flatten(element)[0].shape[0]) for element in dataset]
    if not sizes:
        raise BadArgument("The tf.data.Dataset is empty: it needs at least one batch.")
    for place, size in enumerate(sizes):
        if size > sizes[0] or (size < sizes[0] and place < len(sizes) - 1):
            raise BadArgument(
                f"Batch {place} of the tf.data.Dataset has {size} examples and the first one {sizes[0]}: all but the "
                "last must have the same number; batch once, with .batch(size)."
            )
    full = sum(size == sizes[0] for size in sizes)
    return Batches(sizes[0], full, 0 if full == len(sizes) else sizes[-1])
