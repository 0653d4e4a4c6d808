"""Ranking metrics of each class, ROC AUC and average precision; weighted, so that all resamples share one sort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Array, Targets, ratio


@dataclass(frozen=True, slots=True, eq=False)
class RankingAreas:
    """Areas of each class against the rest, float64 [R, C]; NaN if they are not defined.

    roc_auc: area under the ROC curve (Fawcett 2006): the probability that an image of the class has a higher score
        than another image, a tie counting one half; NaN without images of the class or without others
    average_precision: area under the precision-recall steps; NaN without images of the class
    """

    roc_auc: Array
    average_precision: Array


def ranking_areas(targets: Targets, probabilities: Array, weights: Array) -> RankingAreas:
    """Return both areas of every class, for targets int [N], probabilities [N, C] and weights [N, R]."""
    areas = [class_ranking_areas(targets == index, scores, weights) for index, scores in enumerate(probabilities.T)]
    return RankingAreas(*(np.stack(columns, axis=1) for columns in zip(*areas, strict=True)))


def class_ranking_areas(positive: npt.NDArray[np.bool_], scores: Array, weights: Array) -> tuple[Array, Array]:
    """Return the ROC AUC [R] and the average precision [R] of one class, for positive bool [N] and scores [N]."""
    order = np.argsort(scores, kind="stable")
    scores, positive, weights = scores[order], positive[order], weights[order]
    cuts, hit_weights = scores[positive], weights[positive]
    below, up_to = _weight_below(weights, *(np.searchsorted(scores, cuts, side) for side in ("left", "right")))
    hits_below, hits_up_to = _weight_below(
        hit_weights, *(np.searchsorted(cuts, cuts, side) for side in ("left", "right"))
    )
    total, hits = weights.sum(axis=0), hit_weights.sum(axis=0)
    # A positive's weight times the weight of the negatives below it, a tie counting one half.
    ordered_pairs = (hit_weights * (below - hits_below + up_to - hits_up_to)).sum(axis=0) / 2
    # The precision among the images scored at least as high, averaged over the positives.
    precisions = (hit_weights * ratio(hits - hits_below, total - below, 0.0)).sum(axis=0)
    return ratio(ordered_pairs, hits * (total - hits)), ratio(precisions, hits)


def mean_of_defined(values: Array) -> Array:
    """Return the mean over the classes that have a value, [R], for values [R, C]; NaN if no class has one.

    A resample of groups of images may lack a class that others have.
    """
    undefined = np.isnan(values)
    known = values[:, ~undefined.all(axis=0)]
    if undefined.all(axis=0).sum() * len(values) == undefined.sum() and known.size:
        return known.mean(axis=1)
    return ratio(np.nansum(known, axis=1), (~np.isnan(known)).sum(axis=1))


def _weight_below(weights: Array, *ranks: npt.NDArray[np.int64]) -> list[Array]:
    """Return for each array of ranks [n] the weight [n, R] of the images below them.

    weights: [N, R], in rising order of the scores. They are summed once between neighbouring ranks, and only these sums
    are accumulated: there are far fewer ranks than images.
    """
    starts = np.unique(np.concatenate([[0], *ranks]))
    starts = starts[starts < len(weights)]
    total = np.zeros((len(starts) + 1, weights.shape[1]))
    np.cumsum(np.add.reduceat(weights, starts, axis=0), axis=0, out=total[1:])
    return [total[np.searchsorted(starts, values)] for values in ranks]
