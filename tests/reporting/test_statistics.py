import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointdec.reporting.statistics import corrected, difference, holm, interquartile_mean, summarize

numbers = st.floats(-1e6, 1e6)


@given(sample=st.lists(numbers, min_size=1, max_size=12))
def test_mean_median_and_interquartile_mean_are_those_of_their_definitions(sample):
    found = summarize(sample)
    cut = len(sample) // 4
    middle = sorted(sample)[cut : len(sample) - cut]
    assert found.n == len(sample)
    scale = 1e-9 * max(map(abs, sample)) + 1e-300
    assert found.mean.value == pytest.approx(math.fsum(sample) / len(sample), abs=scale)
    assert found.median.value == pytest.approx(np.median(sample), abs=scale)
    assert found.iqm.value == pytest.approx(math.fsum(middle) / len(middle), abs=scale)


def test_intervals_hold_what_resampling_by_hand_gives():
    sample = np.random.default_rng(3).normal(size=8)
    rng = np.random.default_rng(11)
    resampled = sample[rng.integers(0, 8, (40_000, 8))]
    for name, statistic in (("mean", np.mean), ("iqm", interquartile_mean)):
        low, high = np.percentile(statistic(resampled, axis=1), (2.5, 97.5))
        found = getattr(summarize(sample), name)
        assert found.low == pytest.approx(low, abs=0.03)
        assert found.high == pytest.approx(high, abs=0.03)


def test_with_five_values_the_means_interval_covers_the_truth_in_about_84_of_100_cases_as_the_report_says():
    rng = np.random.default_rng(1)
    hits = sum(mean.low <= 0 <= mean.high for mean in (summarize(rng.normal(size=5)).mean for _ in range(250)))
    assert 0.76 < hits / 250 < 0.90


def test_a_single_value_has_no_interval():
    found = summarize([0.5])
    assert found.mean.value == 0.5
    assert math.isnan(found.mean.low)
    assert math.isnan(found.iqm.high)


def test_the_same_sample_gives_the_same_interval_again():
    assert summarize([1.0, 2.0, 4.0]) == summarize([1.0, 2.0, 4.0])


def test_differences_are_paired_by_seed_and_have_students_interval():
    there = {0: 1.0, 1: 2.0, 2: 5.0, 9: 100.0}
    here = {2: 5.5, 0: 1.2, 1: 2.6, 7: -3.0}
    found = difference(here, there)
    paired = np.array([0.5, 0.2, 0.6])
    half = 4.302652729911275 * paired.std(ddof=1) / math.sqrt(3)  # t quantile, 2 degrees of freedom, from a table
    assert found.n == 3
    assert found.mean == pytest.approx(paired.mean())
    assert (found.low, found.high) == pytest.approx((paired.mean() - half, paired.mean() + half))
    assert found.holds_alone == (found.low > 0)


def test_without_a_common_seed_there_is_no_difference():
    assert difference({0: 1.0}, {1: 1.0}) is None


def test_one_common_seed_has_a_difference_and_no_verdict():
    found = difference({0: 1.5}, {0: 1.0})
    assert found.mean == 0.5
    assert math.isnan(found.p)
    assert not corrected([found])[0].holds


def test_what_differs_by_rounding_alone_is_the_same_however_regular_the_rounding_is():
    there = dict(enumerate([0.2, 0.3, 0.4, 0.5, 0.6]))
    here = {seed: value * (1 + 1e-6) for seed, value in there.items()}
    found = difference(here, there)
    assert found.same
    assert found.p == 1
    assert not difference({seed: value * 1.001 for seed, value in there.items()}, there).same


def test_holm_gives_the_values_of_a_worked_example():
    # Holm's own scheme by hand: sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1, then never falling
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_correction_never_lowers_a_p_value_and_keeps_their_order(p_values):
    after = holm(p_values)
    assert all(new >= old for new, old in zip(after, p_values, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.array(after)[order]) >= 0)


def test_differences_without_a_p_value_do_not_count_as_comparisons():
    one = difference({0: 1.0}, {0: 0.0})
    several = difference({0: 1.0, 1: 2.0, 2: 3.5}, {0: 0.0, 1: 1.1, 2: 2.0})
    alone, with_single = corrected([several])[0], corrected([one, several])[1]
    assert alone.corrected == with_single.corrected == several.p
