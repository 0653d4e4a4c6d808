"""Intervals of metrics whose bootstrap percentiles are skewed or biased, and so cover the true value too rarely.

benchmarks/RESULTS.md has the measured coverage of each, and that of percentiles.
"""

from __future__ import annotations

import numpy as np

from transfercli.evaluation.metrics.confusion import Array, Targets

Interval = tuple[float, float]


def log_mean_interval(values: Array, targets: Targets, confidence: float) -> Interval | None:
    """Return Student's interval of the logarithm of a mean, for positive values float64 [N] and their classes int [N].

    The variance is that within classes, as every class keeps its number of images; by the delta method the variance of
    the logarithm is that divided by the squared mean. Losses are skewed to the right, and so is this interval. None if
    the values of every class are equal.
    """
    from scipy.special import stdtrit

    sizes = np.bincount(targets).astype(np.float64)
    means = np.bincount(targets, values) / np.maximum(sizes, 1)
    degrees = np.maximum(sizes - 1, 1)
    # The variance of a class with one image is unknown, and counts as 0.
    variances = np.bincount(targets, (values - means[targets]) ** 2) / degrees
    mean, error = values.mean(), np.sqrt((sizes * variances).sum()) / len(values)
    if error < 1e-12:
        return None
    factor = np.exp(stdtrit(np.maximum(sizes - 1, 0).sum(), (1 + confidence) / 2) * error / mean)
    return float(mean / factor), float(mean * factor)


def log_odds_interval(value: float, drawn: Array, normal: float) -> Interval:
    """Return a normal interval of the log odds of a share, corrected for bootstrap bias.

    value, drawn: the share and its values in resamples, float64 [R], all strictly between 0 and 1; normal: the normal
    quantile. The bias is the mean of the resamples minus the value (Efron & Tibshirani 1993, chapter 10): an image
    drawn twice ranks next to itself, which raises an average precision.
    """
    odds, centre = _log_odds(drawn), float(_log_odds(np.asarray(value)))
    centre -= float(odds.mean()) - centre
    low, high = 1 / (1 + np.exp(-(centre + np.array([-1, 1]) * normal * odds.std())))
    return float(low), float(high)


def bounded_interval(value: float, spread: float, low: float, high: float, normal: float) -> Interval:
    """Return a normal interval of a value strictly inside its bounds, on the scale of its log odds.

    spread: standard error of the value; low, high: bounds; with an infinite `high` the scale is the logarithm. By the
    delta method the standard error of the log odds of a share p is that of the share divided by p (1 - p).
    """
    if np.isinf(high):
        factor = float(np.exp(normal * spread / (value - low)))
        return low + (value - low) / factor, low + (value - low) * factor
    share = (value - low) / (high - low)
    error = spread / (high - low) / (share * (1 - share))
    ends = low + (high - low) / (1 + np.exp(-(_log_odds(np.asarray(share)) + np.array([-1, 1]) * normal * error)))
    return float(ends[0]), float(ends[1])


def gap_sum_interval(gaps: Array, drawn: Array, confidence: float, normal: float) -> Interval | None:
    """Return an interval of the sum of absolute gaps [B], from the gaps of resamples, [R, B].

    Noise raises a sum of absolute values, and resampling adds the same amount of noise again. The lower end is that of
    a normal interval corrected for this bias, and 0 if gaps of pure noise would reach the sum in one of 40 samples (at
    95% confidence). The upper end is the percentile, as the bias is smaller for large gaps. The interval is
    conservative for a calibrated model. None if the sums of all resamples are equal.
    """
    sums, value = np.abs(drawn).sum(axis=1), float(np.abs(gaps).sum())
    if np.ptp(sums) < 1e-12:
        return None
    tail = (1 - confidence) / 2
    noise = np.abs(drawn - gaps).sum(axis=1)
    low = 2 * value - sums.mean() - normal * sums.std() if np.mean(noise >= value) < tail else 0.0
    return max(0.0, float(low)), float(np.quantile(sums, 1 - tail))


def _log_odds(share: Array) -> Array:
    odds: Array = np.log(share) - np.log1p(-share)
    return odds
