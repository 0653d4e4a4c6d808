"""Does the model know when it does not know? Stated confidence against what came true, in bins of equal mass.

Bins of equal mass (Nixon et al. 2019, "Measuring Calibration in Deep Learning") hold the same number of images each, so
none of them is noise. Images of equal confidence share their accuracy evenly, so the order of the files cannot change a
number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Array, Targets

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """The images between two ranks of confidence: how many, what they promised and what came true."""

    images: int
    confidence: float
    accuracy: float


def expected_calibration_error(confidence: Array, right: npt.NDArray[np.bool_], weights: Array) -> Array:
    """[R]: mean absolute gap of confidence and accuracy (Guo et al. 2017) over 15 bins of equal mass.

    Takes what `bin_gaps` takes.
    """
    total: Array = np.abs(bin_gaps(confidence, right, weights)).sum(axis=1)
    return total


def bin_gaps(confidence: Array, right: npt.NDArray[np.bool_], weights: Array) -> Array:
    """[R, 15]: accuracy minus confidence in each bin, times the share of the images that are in it.

    confidence: float64 [N] of the predicted class; right: bool [N], whether it is the true one; weights: float64
    [N, R], how often an image counts; each column must add up to the same whole number.
    """
    order, starts = _groups(confidence)
    weights = weights[order]
    gaps = (right - confidence)[order][:, None] * weights
    mass, height = (_running(np.add.reduceat(values, starts, axis=0)) for values in (weights, gaps))
    edges = _edges(round(float(mass[0, -1])))
    curves = (np.interp(edges, *curve) for curve in zip(mass, height, strict=True))
    return np.asarray([np.diff(curve) / edges[-1] for curve in curves])


def reliability(targets: Targets, probabilities: Array) -> list[Bin]:
    """At most 15 bins of equal mass from the least to the most confident; empty ones are left out."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    order, starts = _groups(confidence)
    values = np.stack([np.ones_like(confidence), confidence, right], axis=1)[order]
    mass, sure, hit = _running(np.add.reduceat(values, starts, axis=0))
    edges = _edges(len(targets))
    sizes = np.diff(edges)
    sure, hit = (np.diff(np.interp(edges, mass, height)) for height in (sure, hit))
    return [Bin(int(n), float(s / n), float(h / n)) for n, s, h in zip(sizes, sure, hit, strict=True) if n]


def _groups(confidence: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The order of rising confidence, and where in it each group of equal confidence starts."""
    order = np.argsort(confidence, kind="stable")
    return order, np.flatnonzero(np.r_[True, np.diff(confidence[order]) > 0])


def _edges(total: int) -> Array:
    """The ranks at which the bins meet: sizes differ by one at most, the larger ones first (as numpy.array_split)."""
    sizes = np.full(BINS, total // BINS)
    sizes[: total % BINS] += 1
    return np.r_[0, np.cumsum(sizes)].astype(np.float64)


def _running(values: Array) -> Array:
    """[R, G + 1]: the sums over the first 0, 1, …, G groups, for values [G, R].

    Read off at the ranks of the bins, straight within a group: its images are spread evenly.
    """
    total = np.zeros((values.shape[1], len(values) + 1))
    np.cumsum(values.T, axis=1, out=total[:, 1:])
    return total
