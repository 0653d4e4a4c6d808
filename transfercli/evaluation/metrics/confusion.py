"""Right, predicted and true images of each class: all that the metrics of the confusion matrix depend on.

A thousand resamples of C numbers fit where a thousand confusion matrices of C x C would not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Each float64 [..., C]: true positives, images predicted as the class, images of the class."""

    right: Array
    predicted: Array
    support: Array


def confusion_matrix(targets: Targets, predicted: Targets, classes: int) -> npt.NDArray[np.int64]:
    """int64 [C, C], rows = truth, columns = prediction, in the order of the labels."""
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def count(targets: Targets, predicted: Targets, classes: int) -> Counts:
    """The counts of one set of predictions, each [C]."""
    right = np.bincount(targets[targets == predicted], minlength=classes).astype(np.float64)
    return Counts(
        right,
        np.bincount(predicted, minlength=classes).astype(np.float64),
        np.bincount(targets, minlength=classes).astype(np.float64),
    )


def ratio(above: Array, below: Array, otherwise: float = np.nan) -> Array:
    """`above / below`, and `otherwise` where `below` is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.full(above.shape, otherwise), where=below != 0)


def precision(counts: Counts) -> Array:
    """[..., C]; 0 for a class that is there but never predicted (as in scikit-learn), NaN for one in neither."""
    values = ratio(counts.right, counts.predicted)
    return np.where((counts.support > 0) & (counts.predicted == 0), 0.0, values)


def recall(counts: Counts) -> Array:
    """[..., C]; NaN for a class without images."""
    return ratio(counts.right, counts.support)


def f1(counts: Counts) -> Array:
    """[..., C], 2 TP / (predicted + support); NaN for a class in neither."""
    return ratio(2 * counts.right, counts.predicted + counts.support)


def macro(values: Array, counts: Counts) -> Array:
    """[...]: the plain mean over the classes that have images in the split."""
    present = counts.support > 0
    return ratio(np.where(present, values, 0.0).sum(axis=-1), present.sum(axis=-1))


# Metrics of one class, by the names that a row of `per_class` and a gate (`recall[cat]`) have for them.
PER_CLASS = {"precision": precision, "recall": recall, "f1": f1}
