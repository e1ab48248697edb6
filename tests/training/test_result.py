import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.training.result import STEP_METRICS, EpochResult, training_means


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


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", STEP_METRICS)
def test_a_run_diverged_at_the_first_step_with_a_nan_or_inf_in_any_of_its_numbers(name, bad):
    steps = finite_steps(5)
    assert epoch_of(steps, first_step=35).diverged_at is None
    steps[name][2] = bad
    steps["loss"][4] = np.nan
    assert epoch_of(steps, first_step=35).diverged_at == 37


def test_the_very_first_step_can_be_the_one_that_diverged():
    steps = finite_steps(1)
    steps["grad_norm"][0] = np.nan
    assert epoch_of(steps).diverged_at == 0


def test_milliseconds_per_step_divide_the_seconds_by_the_steps():
    assert epoch_of(finite_steps(8), seconds=0.4).ms_per_step == pytest.approx(50)
