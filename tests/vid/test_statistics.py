"""How sure a mean is: laws of the bootstrap."""

import tracemalloc

import numpy as np
import pytest

from blurvid import statistics
from blurvid.statistics import bootstrap_interval, paired_difference


def scores(samples=60, columns=3, seed=1):
    return np.random.default_rng(seed).normal(25, 3, (samples, columns))


def slow_interval(values):
    """One column, resample by resample, as a book says it."""
    rng, means = np.random.default_rng(statistics.SEED), []
    for _ in range(statistics.RESAMPLES):
        drawn = values[rng.integers(len(values), size=len(values))]
        means.append(np.mean(drawn[~np.isnan(drawn)]))
    return np.percentile(means, [2.5, 97.5])


@pytest.mark.parametrize("missing", [0, 20])
def test_the_interval_is_that_of_a_slow_loop(missing):
    values = scores()
    values[:missing, 1] = np.nan
    expected = [slow_interval(column) for column in values.T]
    np.testing.assert_allclose(bootstrap_interval(values), expected, rtol=1e-12)
    np.testing.assert_allclose(bootstrap_interval(values[:, 1]), expected[1], rtol=1e-12)


def test_the_interval_of_a_normal_sample_is_that_of_theory():
    values = scores(2000, 1)[:, 0]
    error = values.std() / np.sqrt(len(values))
    expected = values.mean() + 1.96 * error * np.array([-1, 1])
    np.testing.assert_allclose(bootstrap_interval(values), expected, atol=0.1 * error)


def test_nineteen_of_twenty_intervals_hold_the_true_mean():
    columns = scores(40, 600, seed=3)
    low, high = bootstrap_interval(columns).T
    assert 0.91 < np.mean((low < 25) & (25 < high)) < 0.97


def test_the_interval_follows_scale_and_shift_and_is_the_same_each_time():
    values = scores()
    interval = bootstrap_interval(values)
    np.testing.assert_array_equal(bootstrap_interval(values), interval)
    np.testing.assert_allclose(bootstrap_interval(2 * values + 1), 2 * interval + 1)


def test_fewer_than_two_samples_have_no_interval():
    assert np.isnan(bootstrap_interval(np.array([7.0]))).all()
    lone = np.array([[1.0, np.nan], [2.0, np.nan], [3.0, 5.0]])
    assert np.isfinite(bootstrap_interval(lone)[0]).all()
    assert np.isnan(bootstrap_interval(lone)[1]).all()


def test_what_is_drawn_at_once_changes_nothing(monkeypatch):
    values = scores()
    expected = bootstrap_interval(values)
    monkeypatch.setattr(statistics, "MOST_COUNTS", 7 * len(values))
    np.testing.assert_allclose(bootstrap_interval(values), expected, rtol=1e-13)


def test_a_hundred_thousand_samples_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 100)
    values = scores(100_000, 2)
    tracemalloc.start()
    bootstrap_interval(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120e6


# --- two runs -------------------------------------------------------------------------------


def test_the_paired_interval_is_narrower_than_the_unpaired_for_correlated_scores():
    rng = np.random.default_rng(0)
    hardness = rng.normal(25, 4, 200)
    a, b = (hardness + gain + rng.normal(0, 0.5, 200) for gain in (0.3, 0.0))
    low, high = paired_difference(a, b).interval
    a_ends, b_ends = bootstrap_interval(a), bootstrap_interval(b)
    assert 0 < low < 0.3 < high
    assert high - low < 0.2 * min(np.ptp(a_ends), np.ptp(b_ends))


def test_a_run_does_not_differ_from_itself_and_two_differ_as_their_means():
    a, b = scores(), scores(seed=2)
    same = paired_difference(a, a)
    assert not same.mean.any() and not same.interval.any() and not same.better.any()
    one, other = paired_difference(a, b), paired_difference(b, a)
    np.testing.assert_allclose(one.mean, a.mean(0) - b.mean(0))
    np.testing.assert_allclose(one.interval, -other.interval[:, ::-1])
    np.testing.assert_allclose(one.better + other.better, 1)
    np.testing.assert_allclose(one.better, [np.mean(x > y) for x, y in zip(a.T, b.T)])


def test_a_sample_that_one_run_lacks_is_left_out_of_both():
    a, b = np.array([1.0, 2, np.nan, 9]), np.array([0.0, 3, 5, np.nan])
    difference = paired_difference(a, b)
    assert (difference.mean, difference.better, difference.samples) == (0.0, 0.5, 2)


def test_scores_of_other_samples_are_refused():
    with pytest.raises(ValueError, match="same samples"):
        paired_difference(scores(4), scores(5))
