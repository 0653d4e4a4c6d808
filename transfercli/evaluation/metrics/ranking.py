"""Metrics of the order in which a model ranks images for a class; weighted, so that resamples need no second sort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Array, Targets, ratio


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Of each class against the rest, each float64 [R, C]; NaN for a class without images on the sides it needs.

    roc_auc: area under the ROC curve (Fawcett 2006): how often an image of the class is scored above another, ties half
    average_precision: area under the precision-recall steps
    """

    roc_auc: Array
    average_precision: Array


def rank(targets: Targets, probabilities: Array, weights: Array) -> Ranked:
    """Both areas of every class, for targets int [N], probabilities [N, C] and weights [N, R]."""
    areas = [rank_one(targets == number, scores, weights) for number, scores in enumerate(probabilities.T)]
    return Ranked(*(np.stack(columns, axis=1) for columns in zip(*areas, strict=True)))


def rank_one(positive: npt.NDArray[np.bool_], scores: Array, weights: Array) -> tuple[Array, Array]:
    """[R] the area under the ROC curve and [R] the average precision of one class, bool [N], by its scores [N]."""
    order = np.argsort(scores, kind="stable")
    scores, mine = scores[order], positive[order]
    weights = weights[order]
    at, gains = scores[mine], weights[mine]
    below, up_to = _running(weights, *(np.searchsorted(scores, at, side) for side in ("left", "right")))
    hits_below, hits_up_to = _running(gains, *(np.searchsorted(at, at, side) for side in ("left", "right")))
    total, hits = weights.sum(axis=0), gains.sum(axis=0)
    # A positive's weight times the weight of the negatives below it, a tie counting one half.
    passed = (gains * (below - hits_below + up_to - hits_up_to)).sum(axis=0) / 2
    # The precision among the images scored at least as high, averaged over the positives.
    precise = (gains * ratio(hits - hits_below, total - below, 0.0)).sum(axis=0)
    return ratio(passed, hits * (total - hits)), ratio(precise, hits)


def mean_of_defined(values: Array) -> Array:
    """[R]: the plain mean over the classes that have a value, for values [R, C]; NaN where none has."""
    known = ~np.isnan(values).any(axis=0)
    return values[:, known].mean(axis=1) if known.any() else np.full(len(values), np.nan)


def _running(weights: Array, *places: npt.NDArray[np.int64]) -> list[Array]:
    """For each array of ranks [n], the weight [n, R] of the images below them, for weights [N, R] in rising order.

    Summed once between neighbouring places, and only those sums are added up: there are far fewer than images.
    """
    inside = np.unique(np.concatenate([[0], *places]))
    inside = inside[inside < len(weights)]
    total = np.zeros((len(inside) + 1, weights.shape[1]))
    np.cumsum(np.add.reduceat(weights, inside, axis=0), axis=0, out=total[1:])
    return [total[np.searchsorted(inside, at)] for at in places]
