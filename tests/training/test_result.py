import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.training.result import STEP_METRICS, EpochResult, diverged_at, training_means


def epoch_of(steps, first_step=0, seconds=1.0):
    return EpochResult(epoch=0, first_step=first_step, steps=steps, train={}, val={}, seconds=seconds)


def finite_steps(count):
    return {name: np.linspace(1, 2, count) for name in STEP_METRICS}


@given(size=st.integers(1, 60), batch_size=st.integers(1, 70), seed=st.integers(0, 2**32 - 1))
def test_training_means_are_means_over_molecules(size, batch_size, seed):
    per_molecule = {name: np.random.default_rng(seed).normal(size=size) for name in ("loss", "nodes", "edges")}
    steps = {
        name: np.array([np.mean(values[first : first + batch_size]) for first in range(0, size, batch_size)])
        for name, values in per_molecule.items()
    }
    means = training_means(steps, size, batch_size)
    assert set(means) == {"loss", "nodes", "edges"}
    for name, mean in means.items():
        assert isinstance(mean, float)
        assert mean == pytest.approx(sum(per_molecule[name]) / size, abs=1e-12)


def test_an_epoch_that_was_cut_short_has_the_means_of_the_steps_that_it_took():
    steps = {name: np.array([1.0, 4.0]) for name in ("loss", "nodes", "edges")}
    assert training_means(steps, size=100, batch_size=10)["loss"] == pytest.approx(2.5)


def test_a_run_diverged_where_its_first_epoch_says_so():
    whole = epoch_of(finite_steps(3))
    bad = [EpochResult(0, 0, {}, {}, {}, 1.0, diverged_at=step) for step in (7, 12)]
    assert diverged_at([whole, whole]) is None
    assert diverged_at([whole, *bad]) == 7


def test_milliseconds_per_step_divide_the_seconds_by_the_steps():
    assert epoch_of(finite_steps(8), seconds=0.4).ms_per_step == pytest.approx(50)
