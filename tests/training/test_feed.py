"""The batches that reach a program, wherever the examples lie: each example once an epoch, in its order."""

import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from jointdec.errors import BadArgument, DataTooLarge
from jointdec.training import feed
from jointdec.training.feed import DatasetFeed, Resident, Streamed, batches_of

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
        if isinstance(rows, slice | np.ndarray):
            self.asked.append((np.arange(len(self))[rows].tolist(), threading.current_thread().name))
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


X = np.arange(22, dtype=np.float32).reshape(11, 2)
A_BATCH = 3 * 12  # bytes of a batch of three x and y
ROOMS = {"all at once": 10**6, "two batches a chunk": 6 * A_BATCH, "one batch a chunk": 3 * A_BATCH}


def dataset(size=11, batch=3, *, drop=False, whole=False):
    """Batches of x and y."""
    rows = tf.data.Dataset.from_tensor_slices((X[:size], np.arange(size, dtype=np.int32)))
    rows = rows.batch(batch, drop_remainder=drop)
    return rows.filter(lambda *_: True) if whole else rows  # of a filter nobody knows how many batches it leaves


def steps(feed, epoch):
    """The y of each step, as a program would gather them."""
    size = feed.batches.size
    for step in range(feed.batches.full):
        number, within = divmod(step, feed.capacity)
        chunk = feed.chunk(epoch, number)
        yield tf.gather(chunk.data[1], chunk.rows[within * size : (within + 1) * size]).numpy().tolist()
    if feed.batches.rest:
        yield feed.last(epoch).data[1].numpy().tolist()


@pytest.mark.parametrize("memory", ROOMS.values(), ids=ROOMS)
@pytest.mark.parametrize(
    ("size", "drop", "whole"),
    [(11, False, False), (11, True, False), (9, False, False), (11, False, True), (2, False, False)],
)
def test_its_steps_are_the_data_set_s_batches_in_every_epoch(memory, size, drop, whole):
    batches = dataset(size, drop=drop, whole=whole)
    feed = DatasetFeed(batches, memory)
    expected = [y.numpy().tolist() for _, y in batches]
    assert feed.batches.steps == len(expected)
    for epoch in (0, 1, 1, 5):
        assert list(steps(feed, epoch)) == expected


@pytest.mark.parametrize("memory", ROOMS.values(), ids=ROOMS)
def test_the_chunk_given_last_is_given_again_without_reading_it_again(memory):
    reads = []

    def count(x, y):
        tf.py_function(lambda: reads.append(1), [], [])
        return x, y

    feed = DatasetFeed(dataset().map(count), memory)
    feed.chunk(0, 0)
    list(steps(feed, 0))
    before, last = len(reads), (feed.batches.full - 1) // feed.capacity
    kept, rest = feed.chunk(0, last), feed.last(0)
    assert feed.chunk(0, last) is kept
    assert feed.last(0) is rest
    assert len(reads) == before


def test_an_epoch_begun_while_another_is_read_ahead_begins_at_its_first_batch():
    """As where training goes on in a later epoch: the compilation has looked at epoch 0."""

    def slowly(x, y):
        tf.py_function(lambda: time.sleep(0.02), [], [])
        return x, y

    batches = dataset().map(slowly)
    feed = DatasetFeed(batches, 3 * A_BATCH)
    feed.chunk(0, 0)
    assert list(steps(feed, 3)) == [y.numpy().tolist() for _, y in batches]


def test_any_chunk_of_an_earlier_epoch_can_be_asked_for():
    feed = DatasetFeed(dataset(), 3 * A_BATCH)
    list(steps(feed, 1))
    assert feed.chunk(0, 2).data[1].numpy().tolist() == [6, 7, 8]
    assert feed.last(2).data[1].numpy().tolist() == [9, 10]


def test_elements_keep_their_trees():
    def element(x, y):
        return {"left": x[:, :1], "right": x[:, 1:]}, {"price": y}, {"price": tf.ones_like(x[:, 0])}

    feed = DatasetFeed(dataset().map(element), 10**6)
    x, y, weights = feed.chunk(0, 0).data
    assert set(x) == {"left", "right"}
    assert set(y) == set(weights) == {"price"}
    assert len(feed.chunk(0, 0).data) == 3
    alone = DatasetFeed(dataset().map(lambda x, _: {"only": x}), 10**6)
    assert list(alone.chunk(0, 0).data[0]) == ["only"]


REFUSED = {
    "endless": (lambda: dataset().repeat(), "endless"),
    "empty": (lambda: dataset().take(0), "empty"),
    "growing": (lambda: dataset().concatenate(dataset(11, 5)), "Batch 3 .* has 2 examples and the first one 3"),
    "empty after a look": (lambda: dataset().filter(lambda *_: False), "empty"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_a_data_set_that_has_no_epochs_of_equal_batches_is_refused(make, message):
    with pytest.raises(BadArgument, match=message):
        DatasetFeed(make(), 10**6)


def test_batches_of_several_shapes_are_refused_where_they_are_met():
    data = tf.data.Dataset.from_generator(lambda: (np.zeros((3, 2 + i)) for i in range(3)), output_types=tf.float32)
    with pytest.raises(
        BadArgument, match=r"A batch of the tf.data.Dataset has the shape \(3, 3\), and the first one \(3, 2\)"
    ):
        list(DatasetFeed(data, 10**6).chunk(0, 0))


def test_a_data_set_of_which_no_batch_fits_is_refused():
    with pytest.raises(DataTooLarge, match="A batch of 3 examples takes"):
        DatasetFeed(dataset(), 3 * A_BATCH - 1)
