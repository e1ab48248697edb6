"""Losses that run away while finite, and losses that do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.divergence.runaway import GROWTH, STAYS, RunawayWatch
from jointdec.training.result import EpochResult


def watch(nodes, edges=None, epochs=1, first_step=0):
    """What a watch says of each epoch."""
    nodes, edges = np.asarray(nodes, float), np.ones(len(nodes)) if edges is None else np.asarray(edges, float)
    looks, length = RunawayWatch(["nodes", "edges"], ["nodes", "edges"]), len(nodes) // epochs
    return [
        looks(EpochResult(e, first_step + e * length, {"nodes": nodes[part], "edges": edges[part]}, {}, {}, 1.0))
        for e, part in ((e, slice(e * length, (e + 1) * length)) for e in range(epochs))
    ]


@given(seed=st.integers(0, 2**32 - 1), steepness=st.floats(0, 0.2), noise=st.floats(0, 1.0))
def test_a_noisy_loss_that_falls_to_nearly_nothing_is_no_runaway(seed, steepness, noise):
    rng = np.random.default_rng(seed)
    losses = 3 * np.exp(-steepness * np.arange(300)) * np.exp(noise * rng.normal(size=300))
    assert watch(losses, epochs=3) == [None] * 3


def test_a_spike_of_a_loss_that_was_nearly_nothing_is_no_runaway_as_long_as_it_is_below_where_it_began():
    losses = np.concatenate([np.geomspace(2, 1e-7, 200), np.full(20, 0.5), np.full(20, 1e-7)])
    assert watch(losses) == [None]


@given(step=st.integers(1, 290), factor=st.floats(1.5, 1e30))
def test_growth_by_orders_of_magnitude_that_stays_is_flagged_at_its_first_step_in_whichever_epoch(step, factor):
    losses = np.full(300, 2.0)
    losses[step:] = factor * GROWTH * 2
    runaway = next(found for found in watch(losses, epochs=3) if found)
    assert (runaway.step, runaway.head, runaway.kind) == (step, "nodes", "growth")
    assert runaway.median == 2.0


@given(step=st.integers(1, 295), length=st.integers(1, STAYS - 1))
def test_a_spike_of_a_few_steps_however_high_is_no_runaway(step, length):
    losses = np.full(300, 2.0)
    losses[step : step + length] = 1e9
    assert watch(losses, epochs=3) == [None] * 3


def test_a_loss_below_zero_is_flagged_at_its_first_step_though_it_grew_by_nothing():
    (runaway,) = watch([0.5, 0.2, 0.1, -0.2, -0.4], first_step=40)
    assert (runaway.step, runaway.kind, runaway.value) == (43, "below_zero", -0.2)
    assert "below zero in step 43" in runaway.sentence


def test_rounding_below_zero_is_no_runaway():
    assert watch([1e-7, -1e-7, -3e-7]) == [None]


def test_of_two_heads_the_one_that_ran_away_first_is_named():
    nodes, edges = np.ones(50), np.ones(50)
    nodes[30:], edges[20:] = 1e5, 1e5
    (runaway,) = watch(nodes, edges)
    assert (runaway.head, runaway.step) == ("edges", 20)
    assert "The edges loss ran away in step 20" in runaway.sentence


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_not_a_runaway(bad):
    losses = np.ones(50)
    losses[20:30] = bad
    assert watch(losses) == [None]


@pytest.mark.parametrize("bad", [0, 40])
def test_growth_after_a_step_that_was_skipped_is_flagged_all_the_same(bad):
    losses = np.ones(200)
    losses[bad], losses[150:] = np.nan, 1e9
    assert next(found for found in watch(losses, epochs=2) if found).step == 150


def test_a_loss_that_was_low_once_long_ago_is_not_judged_again():
    losses = np.full(315, 5.0)
    losses[0], losses[210] = 1.0, 1e-3
    assert watch(losses, epochs=3) == [None] * 3
