"""The batches that reach a program, wherever the examples lie: each example once an epoch, in the order of the epoch."""

import threading

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from jointdec.training import feed
from jointdec.training.feed import Resident, Streamed, batches_of

EPOCHS = 2


def order_of(size):
    return lambda epoch: np.random.default_rng([size, epoch]).permutation(size)


def data_of(size):
    """x (n, 2), y a tree; every number tells which example it belongs to."""
    rows = np.arange(size)
    return np.stack([rows, -rows], 1).astype(np.float32), {"a": rows.astype(np.int64), "b": (10 * rows, rows % 7)}


def batches_from(made, epoch):
    """An epoch's batches, as a program would gather them from the chunks."""
    found, size = [], made.batches.size
    for first in range(0, made.batches.full, made.capacity):
        chunk = made.chunk(epoch, first // made.capacity)
        assert chunk.rows.shape == (made.capacity * size,)
        for step in range(min(made.capacity, made.batches.full - first)):
            rows = chunk.rows[step * size : (step + 1) * size]
            found.append(tf.nest.map_structure(lambda array, rows=rows: tf.gather(array, rows).numpy(), chunk.data))
    if made.batches.rest:
        chunk = made.last(epoch)
        assert chunk.rows.shape == (made.batches.rest,)
        found.append(tf.nest.map_structure(lambda array: tf.gather(array, chunk.rows).numpy(), chunk.data))
    return found


def assert_batches(found, data, order, batch_size):
    expected = [order[first : first + batch_size] for first in range(0, len(order), batch_size)]
    assert len(found) == len(expected)
    for batch, rows in zip(found, expected, strict=True):
        tf.nest.assert_same_structure(batch, data)
        for mine, array in zip(tf.nest.flatten(batch), tf.nest.flatten(data), strict=True):
            assert mine.dtype == array.dtype
            np.testing.assert_array_equal(mine, array[rows])


@settings(max_examples=40)
@given(size=st.integers(1, 40), batch_size=st.integers(1, 12), memory=st.integers(1, 20_000), chunk=st.integers(1, 9))
def test_both_feeds_give_every_example_once_an_epoch_in_the_order_of_the_epoch(size, batch_size, memory, chunk):
    kept, feed.CHUNK = feed.CHUNK, chunk
    try:
        data, order = data_of(size), order_of(size)
        for made in (Resident(data, order, batch_size), Streamed(data, order, batch_size, memory)):
            assert 1 <= made.capacity <= max(1, min(chunk, size // batch_size))
            for epoch in range(EPOCHS):
                assert_batches(batches_from(made, epoch), data, order(epoch), batch_size)
    finally:
        feed.CHUNK = kept


def test_the_memory_that_a_stream_may_take_bounds_three_of_its_chunks():
    data = (np.zeros((1000, 25), np.float32), np.zeros(1000, np.int64))  # 108 bytes a row
    made = Streamed(data, order_of(1000), 10, memory=3 * 10 * 108 * 7)
    assert made.capacity == 7
    assert Streamed(data, order_of(1000), 10, memory=1).capacity == 1
    assert Streamed(data, order_of(1000), 10, memory=10**12).capacity == 100


def test_memory_mapped_files_stream_as_the_arrays_that_they_hold(tmp_path):
    (x, y), order = data_of(33), order_of(33)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "a.npy", y["a"])
    mapped = (np.load(tmp_path / "x.npy", mmap_mode="r"), np.load(tmp_path / "a.npy", mmap_mode="r"))
    made = Streamed(mapped, order, 5, memory=500)
    assert made.capacity < made.batches.full
    for epoch in range(EPOCHS):
        assert_batches(batches_from(made, epoch), (x, y["a"]), order(epoch), 5)


class Watched(np.ndarray):
    """An array that tells which rows were asked for, and by which thread."""

    def __getitem__(self, rows):
        if isinstance(rows, np.ndarray):
            self.asked.append((rows.tolist(), threading.current_thread().name))
        return np.asarray(self)[rows]


def test_the_next_chunk_is_read_while_this_one_trains_also_across_epochs_and_each_only_once():
    x = np.arange(20.0).reshape(20, 1).view(Watched)
    x.asked = []
    made = Streamed((x,), lambda epoch: np.arange(20), 2, memory=3 * 2 * 8 * 5)  # 5 steps a chunk, 2 chunks
    assert made.capacity == 5
    made.chunk(0, 0)
    made._reader.submit(lambda: None).result()  # the reader is through with what it was given
    first, second = list(range(10)), list(range(10, 20))
    assert [rows for rows, _ in x.asked] == [first, second]
    made.chunk(0, 1)
    made._reader.submit(lambda: None).result()
    assert [rows for rows, _ in x.asked] == [first, second, first]  # of the next epoch
    made.chunk(1, 0)
    assert {name.partition("_")[0] for _, name in x.asked} == {"jointdec-read"}


def test_a_chunk_can_be_asked_for_again():
    data, order = data_of(20), order_of(20)
    made = Streamed(data, order, 2, memory=200)
    one, other = made.chunk(0, 1), made.chunk(0, 1)
    for mine, again in zip(tf.nest.flatten(one.data), tf.nest.flatten(other.data), strict=True):
        np.testing.assert_array_equal(mine, again)


def test_what_goes_wrong_in_reading_reaches_the_one_who_asks():
    class Broken(np.ndarray):
        def __getitem__(self, rows):
            raise OSError("the disk is gone")

    made = Streamed((np.zeros((10, 1)).view(Broken),), lambda epoch: np.arange(10), 2, memory=100)
    with pytest.raises(OSError, match="disk"):
        made.chunk(0, 0)


@given(examples=st.integers(1, 1000), batch_size=st.integers(1, 100))
def test_batches_hold_all_examples(examples, batch_size):
    batches = batches_of(examples, batch_size)
    assert batches.whole + batches.rest == examples
    assert 0 <= batches.rest < batch_size
    assert batches.steps == -(-examples // batch_size)
