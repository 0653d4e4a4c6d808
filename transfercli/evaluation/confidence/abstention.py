"""Confidence thresholds that keep a promise on new images, chosen on the validation images.

The promise holds in 95% of all draws of validation images. A threshold whose validation images merely reach the target
would miss it on new images in about half of the draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from transfercli.evaluation.confidence.selective import CoverageCurve

# The share of draws of validation images in which a promise may be broken.
RISK = 0.05
# Number of thresholds that are tried, from a high one to one that answers every image.
STEPS = 20
# The share of `RISK` for a sequence that starts at the most confident quarter of the images. That start survives a
# mislabelled image among the most confident; the rest is for models that are right on less than a quarter.
FROM_A_QUARTER = 0.8
# Difference of the accuracies that are tried to find out which one so many images can promise.
GRID = 0.005


def threshold_for_accuracy(curve: CoverageCurve, target: float) -> float | None:
    """Return the lowest threshold whose answers are promised to have this accuracy; None if none can be promised.

    Fixed-sequence testing (Angelopoulos et al. 2021, "Learn then Test"): from high to low thresholds, each must have so
    few mistakes that an accuracy below the target would show them with a probability of at most `RISK`, by the
    binomial distribution (Geifman & El-Yaniv 2017). The first that has more ends the sequence, so the number of
    thresholds tried costs nothing. It assumes that more confident answers are right more often.
    """
    start, quarter = fewest_images(target), curve.votes[-1] / 4
    sequences = [(RISK, start)]
    if start < quarter:
        risks = (FROM_A_QUARTER * RISK, (1 - FROM_A_QUARTER) * RISK)
        starts = (max(quarter, fewest_images(target, risks[0])), fewest_images(target, risks[1]))
        sequences = list(zip(risks, starts, strict=True))
    ends = (_last_promised(curve, target, risk, first) for risk, first in sequences)
    points = [point for point in ends if point is not None]
    return curve.threshold(max(points)) if points else None


def threshold_for_coverage(curve: CoverageCurve, target: float) -> float | None:
    """Return the highest threshold that is promised to answer this share of new images; 0 answers all.

    The coverage of the r-th highest of n confidences has a beta distribution with parameters r and n - r + 1.
    """
    from scipy.special import betainc

    votes = float(curve.votes[-1])
    ranks = curve.coverage * votes
    promised = np.flatnonzero(betainc(ranks, votes - ranks + 1, target) <= RISK)
    return curve.threshold(int(promised[0])) if len(promised) else 0.0


THRESHOLD_RULES: dict[str, Callable[[CoverageCurve, float], float | None]] = {
    "accuracy": threshold_for_accuracy,
    "coverage": threshold_for_coverage,
}


def fewest_images(target: float, risk: float = RISK) -> float:
    """Return the number of answers without a mistake that an accuracy needs at least; infinite for an accuracy of 1."""
    return math.ceil(math.log(risk) / math.log(target) - 1e-9) if target < 1 else math.inf


def possible_accuracy(curve: CoverageCurve, target: float) -> float | None:
    """Return the highest accuracy up to `target` that these images can promise; None if it is below one half."""
    steps = range(int((target - 0.5) / GRID + 1e-9) + 1)
    tried = (round(math.floor(target / GRID + 1e-9) * GRID - step * GRID, 6) for step in steps)
    return next((accuracy for accuracy in tried if threshold_for_accuracy(curve, accuracy) is not None), None)


def _last_promised(curve: CoverageCurve, target: float, risk: float, start: float) -> int | None:
    """Return the last point of the curve before the first of a fixed sequence that has too many mistakes."""
    from scipy.special import bdtr

    total = curve.votes[-1]
    if start > total:
        return None
    reached = np.maximum.accumulate(curve.votes)
    points = np.unique(
        np.searchsorted(reached, np.linspace(start, reached[-1], STEPS).round()).clip(max=len(reached) - 1)
    )
    votes = curve.votes[points].astype(int)
    mistakes = np.ceil((1 - curve.accuracy[points]) * votes - 1e-9)
    failed = np.flatnonzero(bdtr(mistakes, votes, 1 - target) > risk)
    passed = len(points) if not len(failed) else int(failed[0])
    return int(points[passed - 1]) if passed else None
