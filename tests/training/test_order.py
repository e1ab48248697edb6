import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.training.order import batch_of_step, batch_order

SEEDS, EPOCHS, SIZES = st.integers(0, 2**63), st.integers(0, 10**6), st.integers(1, 300)


@given(seed=SEEDS, epoch=EPOCHS, size=SIZES)
def test_an_order_is_a_permutation_and_a_pure_function_of_seed_and_epoch(seed, epoch, size):
    order = batch_order(seed, epoch, size)
    assert sorted(order.tolist()) == list(range(size))
    np.random.seed(0)  # the global generator must not matter
    np.testing.assert_array_equal(batch_order(seed, epoch, size), order)


@given(seed=SEEDS, epoch=EPOCHS)
def test_another_epoch_or_seed_gives_another_order(seed, epoch):
    order = batch_order(seed, epoch, 100).tolist()
    assert order != batch_order(seed, epoch + 1, 100).tolist()
    assert order != batch_order(seed + 1, epoch, 100).tolist()


@given(seed=SEEDS, epoch=EPOCHS, size=SIZES)
def test_without_reshuffling_every_epoch_has_the_order_of_the_first(seed, epoch, size):
    assert batch_order(seed, epoch, size, reshuffle=False).tolist() == batch_order(seed, 0, size).tolist()


@pytest.mark.parametrize("reshuffle", [True, False])
def test_the_batch_of_a_step_is_its_part_of_the_epochs_order(reshuffle):
    for step, (epoch, part) in {0: (0, slice(0, 4)), 5: (1, slice(8, 10)), 7: (2, slice(4, 8))}.items():
        expected = batch_order(3, epoch, 10, reshuffle=reshuffle)[part].tolist()
        assert batch_of_step(3, step, 10, 4, reshuffle=reshuffle).tolist() == expected


def test_every_place_sees_every_molecule_equally_often():
    counts = np.zeros((8, 8))
    for epoch in range(4000):
        counts[np.arange(8), batch_order(0, epoch, 8)] += 1
    # 500 expected, standard deviation 21; 64 places
    assert np.abs(counts - 500).max() < 6 * 21


def test_the_order_stays_what_it_was_in_the_version_before():
    """A resumed or repeated run must see the same batches: NumPy promises Philox's stream, not shuffle's."""
    assert batch_order(0, 0, 8).tolist() == [5, 0, 6, 1, 7, 2, 4, 3]
