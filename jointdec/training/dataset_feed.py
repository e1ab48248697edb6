"""A ``tf.data.Dataset`` of batches as a feed: read in its own order, chunk by chunk, the next one ahead."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import tensorflow as tf

from jointdec.errors import BadArgument, DataTooLarge
from jointdec.training.feed import CHUNK, Batches, Feed
from jointdec.training.program import Chunk

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
