"""Intervals of the metrics for which plain percentiles of resamples fall short: what is drawn is skewed or biased.

benchmarks/RESULTS.md has how often each covers the true value, and how often percentiles did.
"""

from __future__ import annotations

import numpy as np

from transfercli.evaluation.metrics.confusion import Array, Targets

Interval = tuple[float, float]


def of_skewed_mean(values: Array, targets: Targets, confidence: float) -> Interval | None:
    """Student's interval of the logarithm of a mean, for positive values float64 [N] and their classes int [N].

    The variance is that within the classes, as every class keeps its number of images; by the delta method it is that
    of the logarithm over the squared mean. Losses are skewed to the right, and so is this interval. None where no class
    has images that differ.
    """
    from scipy.special import stdtrit

    size = np.bincount(targets).astype(np.float64)
    means = np.bincount(targets, values) / np.maximum(size, 1)
    free = np.maximum(size - 1, 1)
    # Of a class with one image no variance is known: it adds none.
    variances = np.bincount(targets, (values - means[targets]) ** 2) / free
    mean, error = values.mean(), np.sqrt((size * variances).sum()) / len(values)
    if error < 1e-12:
        return None
    reach = np.exp(stdtrit(np.maximum(size - 1, 0).sum(), (1 + confidence) / 2) * error / mean)
    return float(mean / reach), float(mean * reach)


def of_share(value: float, drawn: Array, normal: float) -> Interval:
    """Of a share strictly between 0 and 1, as are its values in resamples, float64 [R]; `normal`: the normal quantile.

    A normal interval of the log odds, moved by the bias that the resamples show (Efron & Tibshirani 1993, chapter 10):
    an image drawn twice ranks beside itself, which flatters an average precision.
    """
    odds, centre = _log_odds(drawn), float(_log_odds(np.asarray(value)))
    centre -= float(odds.mean()) - centre
    low, high = 1 / (1 + np.exp(-(centre + np.array([-1, 1]) * normal * odds.std())))
    return float(low), float(high)


def of_gaps(gaps: Array, drawn: Array, confidence: float, normal: float) -> Interval | None:
    """Of the sum of the absolute gaps [B], by those of resamples, [R, B].

    Noise adds to a sum of absolute values, and resampling adds as much noise again. So the lower end is that of a
    normal interval moved by this bias, and 0 where gaps of nothing but noise would add up to as much in one of 40
    samples; the upper end is the percentile, as the bias is less where gaps are large. For a calibrated model this is
    on the safe side.
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
