"""Chunks of a tf.data.Dataset against its batches as they come."""

import time

import numpy as np
import pytest
import tensorflow as tf

from jointdec.errors import BadArgument, DataTooLarge
from jointdec.training.dataset_feed import DatasetFeed

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
