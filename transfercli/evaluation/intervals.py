"""How sure a number is: 95% intervals."""

from __future__ import annotations

import math

import numpy as np

from transfercli.evaluation.counts import Array, Targets
from transfercli.evaluation.metrics import METRICS

Interval = tuple[float, float]
RESAMPLES = 1000
CONFIDENCE = 0.95
# The normal quantile of (1 + CONFIDENCE) / 2.
Z = 1.959963984540054


def wilson(right: int, images: int) -> Interval | None:
    """The score interval of a proportion (Wilson 1927); None without images. Honest near 0 and 1, unlike p +- 2 s."""
    if images == 0:
        return None
    share = right / images
    scale = 1 + Z**2 / images
    centre = (share + Z**2 / (2 * images)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / images + Z**2 / (4 * images**2))
    # At the ends the formula gives exactly 0 or 1; rounding does not.
    return (0.0 if right == 0 else centre - half, 1.0 if right == images else centre + half)


def bootstrap(name: str, targets: Targets, probabilities: Array, seed: int) -> Interval | None:
    """The percentile interval (Efron & Tibshirani 1993) of a metric over 1,000 stratified resamples.

    None where the metric is not defined, and where all resamples agree: a model that made no mistake on this split has
    shown none to draw from, and an interval of no width would claim a certainty that nobody has.
    """
    row = METRICS[name]
    rng = np.random.default_rng([seed, list(METRICS).index(name)])
    values = row.resamples(targets, probabilities, RESAMPLES, rng)
    values = values[np.isfinite(values)]
    if len(values) == 0 or np.ptp(values) < 1e-12:
        return None
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
