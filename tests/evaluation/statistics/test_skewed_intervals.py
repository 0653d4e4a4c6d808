"""Intervals of skewed metrics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from transfercli.evaluation.statistics.skewed_intervals import gap_sum_interval, log_mean_interval, log_odds_interval


def test_a_skewed_mean_has_students_interval_of_its_logarithm_within_the_classes() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.lognormal(0, 0.4, 200), rng.lognormal(2, 0.4, 100)])
    targets = np.repeat([0, 1], [200, 100])
    error = np.sqrt(sum(len(v) * v.var(ddof=1) for v in (values[:200], values[200:]))) / 300
    reach = stats.t.ppf(0.975, 298) * error / values.mean()
    low, high = log_mean_interval(values, targets, 0.95) or (0, 0)
    assert (low, high) == pytest.approx((values.mean() / np.exp(reach), values.mean() * np.exp(reach)), rel=1e-12)
    assert log_mean_interval(np.array([1.0, 2.0]), np.array([0, 1]), 0.95) is None  # no class has two images


def test_the_interval_of_a_share_is_normal_in_its_odds_and_moved_by_the_bias_of_resampling() -> None:
    odds = np.random.default_rng(0).normal(2.3, 0.2, 4000)  # resampling adds 0.3 to log odds of 2
    low, high = log_odds_interval(1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-odds)), 1.96)
    assert np.log(low / (1 - low)) == pytest.approx(1.7 - 1.96 * 0.2, abs=0.02)
    assert np.log(high / (1 - high)) == pytest.approx(1.7 + 1.96 * 0.2, abs=0.02)


def test_gaps_that_noise_alone_may_show_begin_at_nothing_and_larger_ones_do_not() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (2000, 15))
    small, large = 0.008 * np.array([1.0, -1.0] * 7 + [1.0]), np.full(15, 0.05)
    assert (gap_sum_interval(small, small + noise, 0.95, 1.96) or (1, 1))[0] == 0
    low, high = gap_sum_interval(large, large + noise, 0.95, 1.96) or (0, 0)
    assert (low, high) == pytest.approx((0.75 - 1.96 * 0.01 * np.sqrt(15), 0.75 + 1.96 * 0.01 * np.sqrt(15)), abs=3e-3)
    assert gap_sum_interval(large, np.tile(large, (9, 1)), 0.95, 1.96) is None
