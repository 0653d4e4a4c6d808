"""Metrics of the order in which a model ranks images for a class; weighted, so that resamples need no second sort."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.counts import Array, Targets, ratio


def roc_auc(targets: Targets, probabilities: Array, weights: Array) -> Array:
    """[R]: area under the ROC curve (Fawcett 2006), one class against the rest, plain mean, for weights [R, N].

    Only classes that have images on both sides count; NaN where there is none. Of two classes the second one is scored,
    as in scikit-learn: both have the same area.
    """
    classes = range(1, 2) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    return _mean_over(classes, _roc_auc, targets, probabilities, weights)


def average_precision(targets: Targets, probabilities: Array, weights: Array) -> Array:
    """[R]: area under the precision-recall steps, one class against the rest, mean over the classes with images."""
    return _mean_over(range(probabilities.shape[1]), _average_precision, targets, probabilities, weights)


OneClass = Callable[[npt.NDArray[np.bool_], Array, Array], Array]


def _mean_over(classes: range, one: OneClass, targets: Targets, probabilities: Array, weights: Array) -> Array:
    values = [one(targets == number, probabilities[:, number], weights) for number in classes]
    found = [value for value in values if not np.isnan(value).any()]
    return np.mean(found, axis=0) if found else np.full(len(weights), np.nan)


def _roc_auc(positive: npt.NDArray[np.bool_], scores: Array, weights: Array) -> Array:
    """A positive's weight times the weight of the negatives below it, a tie counting one half."""
    at = scores[positive]
    below, up_to = _below(~positive, scores, weights, at)
    mine = weights[:, positive]
    pairs = mine.sum(axis=1) * weights[:, ~positive].sum(axis=1)
    return ratio((mine * (below + up_to)).sum(axis=1) / 2, pairs)


def _average_precision(positive: npt.NDArray[np.bool_], scores: Array, weights: Array) -> Array:
    """The precision among the images scored at least as high, averaged over the positives."""
    at = scores[positive]
    mine = weights[:, positive]
    total = mine.sum(axis=1, keepdims=True)
    hits = total - _below(positive, scores, weights, at)[0]
    misses = weights[:, ~positive].sum(axis=1, keepdims=True) - _below(~positive, scores, weights, at)[0]
    return ratio((mine * ratio(hits, hits + misses, 0.0)).sum(axis=1), total[:, 0])


def _below(chosen: npt.NDArray[np.bool_], scores: Array, weights: Array, at: Array) -> tuple[Array, Array]:
    """Two [R, len(at)]: the weight of the chosen images scored below each of `at`, and up to and with it."""
    index = np.flatnonzero(chosen)
    index = index[np.argsort(scores[index], kind="stable")]
    running = np.zeros((len(weights), len(index) + 1))
    np.cumsum(weights[:, index], axis=1, out=running[:, 1:])
    ranked = scores[index]
    return running[:, np.searchsorted(ranked, at, "left")], running[:, np.searchsorted(ranked, at, "right")]
