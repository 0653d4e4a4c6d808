"""The confusion matrix, and the metrics that depend only on three counts of each class.

The counts of 1,000 resamples need C numbers each and fit into memory; 1,000 confusion matrices of C x C would not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Counts of each class, float64 [..., C].

    right: true positives; predicted: images predicted as the class; support: images of the class
    """

    right: Array
    predicted: Array
    support: Array


def confusion_matrix(targets: Targets, predicted: Targets, classes: int) -> npt.NDArray[np.int64]:
    """Return int64 [C, C], rows = truth, columns = prediction, in the order of the labels."""
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def count(targets: Targets, predicted: Targets, classes: int) -> Counts:
    """Return the counts of one set of predictions, each [C]."""
    right = np.bincount(targets[targets == predicted], minlength=classes).astype(np.float64)
    return Counts(
        right,
        np.bincount(predicted, minlength=classes).astype(np.float64),
        np.bincount(targets, minlength=classes).astype(np.float64),
    )


def ratio(numerator: Array, denominator: Array, default: float = np.nan) -> Array:
    """Return `numerator / denominator`, and `default` for a denominator of 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, default), where=denominator != 0)


def precision(counts: Counts) -> Array:
    """Return the precision of each class, [..., C].

    It is 0 for a class with images that is never predicted (as in scikit-learn), NaN without images and predictions.
    """
    values = ratio(counts.right, counts.predicted)
    return np.where((counts.support > 0) & (counts.predicted == 0), 0.0, values)


def recall(counts: Counts) -> Array:
    """Return the recall of each class, [..., C]; NaN for a class without images."""
    return ratio(counts.right, counts.support)


def f1(counts: Counts) -> Array:
    """Return 2 TP / (predicted + support) of each class, [..., C]; NaN for a class without images and predictions."""
    return ratio(2 * counts.right, counts.predicted + counts.support)


def macro(values: Array, counts: Counts) -> Array:
    """Return the unweighted mean over the classes that have images in the split, [...]."""
    present = counts.support > 0
    return ratio(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))


# Metrics of one class, by their names in a row of `per_class` and in a gate (`recall[cat]`).
PER_CLASS = {"precision": precision, "recall": recall, "f1": f1}
