"""A ``tf.data.Dataset`` of batches as a feed: read in its own order, chunk by chunk, the next one ahead."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import tensorflow as tf

from jointdec.errors import BadArgument
from jointdec.training.feed import CHUNK, Batches, Feed
from jointdec.training.program import Chunk

Tensor = Any  # TensorFlow has no types
Batch = tuple[Any, ...]


class DatasetFeed(Feed):
    """The batches of a data set, as many in a chunk as the memory allows. The order is the data set's own.

    A data set that does not say how many examples its batches have is gone through once before the training to count.

    Args:
        dataset: of batches x, (x, y) or (x, y, sample_weight); all of one size, but for the last.
        memory: bytes that chunks may take on the device.

    Raises:
        BadArgument: it is endless or empty, or a batch before the last one is smaller than the first.
    """

    def __init__(self, dataset: tf.data.Dataset, memory: int) -> None:
        self._dataset = dataset
        self.batches = _count(dataset)
        first = _as_batch(next(iter(dataset)))
        self.specs = tf.nest.map_structure(lambda a: tf.TensorSpec(a.shape, a.dtype), first)
        a_batch = sum(tensor.dtype.size * int(tf.size(tensor)) for tensor in tf.nest.flatten(first))
        self.capacity = max(1, min(CHUNK, self.batches.full, memory // (3 * max(1, a_batch))))
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="jointdec-read")
        self._epoch = -1
        self._source: Iterator[Any] = iter(())
        self._kept: dict[int, Future[Chunk]] = {}

    def chunk(self, epoch: int, number: int) -> Chunk:
        """See `Feed.chunk`. Chunks come in their order; the one given last can be asked for again."""
        if epoch != self._epoch:
            self._epoch, self._kept = epoch, {}
            self._source = iter(self._dataset)
        if number not in self._kept:
            self._kept[number] = self._reader.submit(self._read, number)
        kept = self._kept[number].result()
        self._kept = {place: each for place, each in self._kept.items() if place >= number}
        if number + 1 not in self._kept and (number + 1) * self.capacity < self.batches.steps:
            self._kept[number + 1] = self._reader.submit(self._read, number + 1)
        return kept

    def last(self, epoch: int) -> Chunk:
        """See `Feed.last`."""
        number = -(-self.batches.full // self.capacity)  # behind the chunks of full batches
        if epoch != self._epoch or number - 1 not in self._kept:
            for earlier in range(number):
                self.chunk(epoch, earlier)
        if number not in self._kept:
            self._kept[number] = self._reader.submit(self._read_last)
        return self._kept[number].result()

    def _read(self, number: int) -> Chunk:
        count = min(self.capacity, self.batches.full - number * self.capacity)
        if count <= 0:
            return self._read_last()
        read = [_as_batch(next(self._source)) for _ in range(count)]
        read += read[:1] * (self.capacity - count)  # what no step reaches
        data = tf.nest.map_structure(lambda *parts: tf.concat(parts, 0), *read)
        return Chunk(data, tf.range(self.capacity * self.batches.size))

    def _read_last(self) -> Chunk:
        return Chunk(_as_batch(next(self._source)), tf.range(self.batches.rest))


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
