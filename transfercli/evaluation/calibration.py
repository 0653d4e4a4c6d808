"""Does the model know when it does not know? Stated confidence against what came true, in bins of equal mass.

Bins of equal mass (Nixon et al. 2019, "Measuring Calibration in Deep Learning") hold the same number of images each, so
none of them is noise. Images of equal confidence share their accuracy evenly, so the order of the files cannot change a
number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.counts import Array, Targets

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """The images between two ranks of confidence: how many, what they promised and what came true."""

    images: int
    confidence: float
    accuracy: float


def expected_calibration_error(targets: Targets, probabilities: Array, weights: Array) -> Array:
    """[R]: mean absolute gap of confidence and accuracy (Guo et al. 2017) over 15 bins of equal mass.

    Weights are [R, N]: a weight says how often an image counts; each row must add up to the same whole number.
    """
    confidence, right, starts = _sorted(targets, probabilities)
    order, gaps = right.order, right.values - confidence
    grouped = np.add.reduceat(weights[:, order], starts, axis=1)
    gap = np.add.reduceat(weights[:, order] * gaps, starts, axis=1)
    edges = _edges(round(float(weights[0].sum())))
    curves = (_curve(mass, height, edges) for mass, height in zip(grouped, gap, strict=True))
    return np.asarray([np.abs(np.diff(curve)).sum() / edges[-1] for curve in curves])


def reliability(targets: Targets, probabilities: Array) -> list[Bin]:
    """At most 15 bins of equal mass from the least to the most confident; empty ones are left out."""
    confidence, right, starts = _sorted(targets, probabilities)
    ones = np.ones_like(confidence)
    mass, sure, hit = (np.add.reduceat(values, starts) for values in (ones, confidence, right.values))
    edges = _edges(len(targets))
    sizes = np.diff(edges)
    sure, hit = np.diff(_curve(mass, sure, edges)), np.diff(_curve(mass, hit, edges))
    return [Bin(int(n), float(s / n), float(h / n)) for n, s, h in zip(sizes, sure, hit, strict=True) if n]


@dataclass(frozen=True, slots=True, eq=False)
class _Right:
    order: npt.NDArray[np.int64]
    values: Array


def _sorted(targets: Targets, probabilities: Array) -> tuple[Array, _Right, npt.NDArray[np.int64]]:
    """Confidence in rising order, whether each was right, and where each group of equal confidence starts."""
    confidence = probabilities.max(axis=1)
    order = np.argsort(confidence, kind="stable")
    confidence = confidence[order]
    right = (probabilities.argmax(axis=1) == targets)[order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, np.diff(confidence) > 0])
    return confidence, _Right(order, right), starts


def _edges(total: int) -> Array:
    """The ranks at which the bins meet: sizes differ by one at most, the larger ones first (as numpy.array_split)."""
    sizes = np.full(BINS, total // BINS)
    sizes[: total % BINS] += 1
    return np.r_[0, np.cumsum(sizes)].astype(np.float64)


def _curve(mass: Array, height: Array, edges: Array) -> Array:
    """The running sum of `height` at the ranks `edges`; straight within a group, which spreads its images evenly."""
    return np.interp(edges, np.r_[0.0, np.cumsum(mass)], np.r_[0.0, np.cumsum(height)])
