import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.training.result import EpochResult, all_epochs, all_norms, all_steps, diverged_at, training_means

HEADS = ("loss", "price", "kind")  # whatever a user calls them


def epoch_of(steps, first_step=0, seconds=1.0, **more):
    return EpochResult(
        **{"epoch": 0, "train": {}, "val": {}} | more, first_step=first_step, steps=steps, seconds=seconds
    )


def finite_steps(count):
    return {name: np.linspace(1, 2, count) for name in HEADS}


@given(size=st.integers(1, 60), batch_size=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_training_means_are_means_over_rows_of_every_loss(size, batch_size, seed):
    per_row = {name: np.random.default_rng(seed).normal(size=size) for name in HEADS}
    steps = {
        name: np.array([np.mean(values[first : first + batch_size]) for first in range(0, size, batch_size)])
        for name, values in per_row.items()
    }
    means = training_means(steps, size, batch_size)
    assert list(means) == list(HEADS)
    for name, mean in means.items():
        assert isinstance(mean, float)
        assert mean == pytest.approx(sum(per_row[name]) / size, abs=1e-12)


def test_an_epoch_that_was_cut_short_has_the_means_of_the_steps_that_it_took():
    assert training_means({"loss": np.array([1.0, 4.0])}, size=100, batch_size=10) == {"loss": 2.5}


def test_an_epoch_of_skipped_steps_alone_has_no_mean():
    means = training_means(finite_steps(2), size=20, batch_size=10, skipped=(0, 1))
    assert list(means) == list(HEADS)
    assert np.isnan(list(means.values())).all()


def test_a_run_diverged_where_its_first_epoch_says_so():
    whole = epoch_of(finite_steps(3))
    bad = [EpochResult(0, 0, {}, {}, {}, 1.0, diverged_at=step) for step in (7, 12)]
    assert diverged_at([whole, whole]) is None
    assert diverged_at([whole, *bad]) == 7


def test_milliseconds_per_step_divide_the_seconds_by_the_steps():
    assert epoch_of(finite_steps(8), seconds=0.4).ms_per_step == pytest.approx(50)


def test_epochs_are_put_one_after_another_each_curve_over_its_own_steps():
    first = epoch_of(finite_steps(3), norm_steps=np.array([0, 2]), norms={"grad_norm": np.array([4.0, 5.0])})
    second = epoch_of(finite_steps(2), first_step=3, norm_steps=np.array([4]), norms={"grad_norm": np.array([6.0])})
    steps, losses = all_steps([first, second])
    assert steps.tolist() == [0, 1, 2, 3, 4]
    assert losses["price"].tolist() == [1.0, 1.5, 2.0, 1.0, 2.0]
    at, norms = all_norms([first, second])
    assert at.tolist() == [0, 2, 4]
    assert norms["grad_norm"].tolist() == [4.0, 5.0, 6.0]


def test_a_run_may_have_measured_no_gradient_in_some_epochs_or_in_none():
    without = epoch_of(finite_steps(3))
    measured = epoch_of(finite_steps(3), 3, norm_steps=np.array([4]), norms={"grad_norm": np.array([1.0])})
    assert all_norms([without, measured])[0].tolist() == [4]
    at, norms = all_norms([without, without])
    assert (at.tolist(), norms) == ([], {})


def test_figures_that_an_epoch_lacks_are_nan():
    validated = epoch_of(finite_steps(1), train={"loss": 1.0}, val={"loss": 2.0})
    cut_short = epoch_of(finite_steps(1), train={"loss": 3.0})
    found = all_epochs([validated, cut_short])
    np.testing.assert_array_equal(found["train/loss"], [1.0, 3.0])
    np.testing.assert_array_equal(found["val/loss"], [2.0, np.nan])
