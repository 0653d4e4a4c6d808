"""Calibration: confidence against accuracy, in bins of equal mass, and the expected calibration error.

Bins of equal mass (Nixon et al. 2019, "Measuring Calibration in Deep Learning") hold the same number of images each.
Their number grows with the cube root of the number of images: the gap of a bin with few images is mostly noise, and its
absolute value adds that noise to the error (Roelofs et al. 2022, "Mitigating Bias in Calibration Error Estimation").
Images of equal confidence share their mean accuracy, so the order of the files changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Array, Targets


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of images of similar confidence: their number, mean confidence and accuracy."""

    images: int
    confidence: float
    accuracy: float


def expected_calibration_error(confidence: Array, right: npt.NDArray[np.bool_]) -> float:
    """Return the mean absolute gap of confidence and accuracy over bins of equal mass (Guo et al. 2017).

    confidence: float64 [N] of the predicted class; right: bool [N], True if the prediction is correct
    """
    return float(np.abs(bin_gaps(confidence, right, np.ones((len(right), 1)), len(right))).sum())


def bins_for(images: int) -> int:
    """Return the number of bins for so many images: 4 for 90, 10 for 1,000, 22 for 10,000."""
    return max(1, round(images ** (1 / 3)))


def bin_gaps(confidence: Array, right: npt.NDArray[np.bool_], weights: Array, images: int) -> Array:
    """Return accuracy minus confidence of each bin, times the bin's share of the images, [R, B].

    confidence: float64 [N] of the predicted class; right: bool [N], True if the prediction is correct; weights: float64
    [N, R], how often each image counts; images: decides B, and the bins; if the sum of a column differs, its bins are
    larger or smaller in proportion.
    """
    order, starts = _groups(confidence)
    weights = weights[order]
    gaps = (right - confidence)[order][:, None] * weights
    mass, height = (_running(np.add.reduceat(values, starts, axis=0)) for values in (weights, gaps))
    edges = _edges(images)
    totals = mass[:, -1]
    curves = (
        np.interp(edges * (total / edges[-1]), *curve) for total, *curve in zip(totals, mass, height, strict=True)
    )
    return np.asarray([np.diff(curve) / total for total, curve in zip(totals, curves, strict=True)])


def reliability(targets: Targets, probabilities: Array) -> list[Bin]:
    """Return the bins of the predicted classes."""
    return confidence_bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)


def confidence_bins(confidence: Array, right: npt.NDArray[np.bool_]) -> list[Bin]:
    """Return the bins of equal mass, from the least to the most confident, without empty bins.

    confidence: float64 [N]; right: bool [N], True if what it is the probability of is the case
    """
    order, starts = _groups(confidence)
    values = np.stack([np.ones_like(confidence), confidence, right], axis=1)[order]
    mass, *heights = _running(np.add.reduceat(values, starts, axis=0))
    edges = _edges(len(right))
    sizes = np.diff(edges)
    confidences, hits = (np.diff(np.interp(edges, mass, height)) for height in heights)
    return [Bin(int(n), float(c / n), float(h / n)) for n, c, h in zip(sizes, confidences, hits, strict=True) if n]


def _groups(confidence: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the order of rising confidence, and the start of each group of equal confidence in it."""
    order = np.argsort(confidence, kind="stable")
    return order, np.flatnonzero(np.r_[True, np.diff(confidence[order]) > 0])


def _edges(total: int) -> Array:
    """Return the ranks at the borders of the bins; sizes differ by at most one, larger ones first (as array_split)."""
    bins = bins_for(total)
    sizes = np.full(bins, total // bins)
    sizes[: total % bins] += 1
    return np.r_[0, np.cumsum(sizes)].astype(np.float64)


def _running(values: Array) -> Array:
    """Return the sums over the first 0, 1, …, G groups, [R, G + 1], for values [G, R].

    The caller interpolates linearly within a group, as the images of a group share its mean.
    """
    total = np.zeros((values.shape[1], len(values) + 1))
    np.cumsum(values.T, axis=1, out=total[:, 1:])
    return total
