"""Conformal prediction: sets of labels that hold the true one with a chosen probability (Vovk et al. 2005).

Split conformal prediction with the least ambiguous sets (Sadinle, Lei & Wasserman 2019): a set has every label whose
probability is at least a threshold, which is a quantile of the probabilities that the model gave to the true classes of
the validation images. A class with enough validation images has a threshold of its own (Mondrian), so that its images
are covered, too. Adaptive sets (APS, RAPS) were 1.2 to 3 times as large on real images: see benchmarks/RESULTS.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices
from transfercli.errors import UsageError
from transfercli.evaluation.confidence.selective import independent_images
from transfercli.evaluation.metrics.confusion import Array, Targets
from transfercli.evaluation.statistics.intervals import wilson

LEVELS = (0.9, 0.95, 0.99)  # that `evaluate` reports
# Number of validation images of a class from which its own threshold is used.
CLASS_IMAGES = 50
# Largest number of scores that are kept of all classes, and of one class.
KEPT, KEPT_OF_CLASS = 200, 50
DIGITS = 8  # after the point of a score


@dataclass(frozen=True, slots=True)
class Scores:
    """Probabilities that the model gave to the true classes of n independent images, the lowest first.

    images: n; ranks, scores: some ranks from 1 to n, ascending, and the score of each
    """

    images: int
    ranks: tuple[int, ...]
    scores: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        return {"images": self.images, "ranks": list(self.ranks), "scores": list(self.scores)}

    def threshold(self, level: float) -> float | None:
        """Return the probability from which a label is in the set; None if n < level / (1 - level).

        It is half way down to the next kept score, so that the rounding of another runtime changes no set.
        """
        rank = math.floor((self.images + 1) * (1 - level) + 1e-9)
        if rank < 1:
            return None
        index = int(np.searchsorted(self.ranks, rank, side="right")) - 1
        return (self.scores[index] + (self.scores[index - 1] if index else 0.0)) / 2


@dataclass(frozen=True, slots=True)
class ConformalScores:
    """Scores of the validation images.

    pooled: of all; classes: of each class, by its index; None if it has fewer than `CLASS_IMAGES`
    """

    pooled: Scores
    classes: tuple[Scores | None, ...]

    def thresholds(self, level: float) -> Array:
        """Return the probability from which each label is in a set, float64 [C].

        Raises `UsageError` if there are too few validation images for the level.
        """
        pooled = self.pooled.threshold(level)
        if pooled is None:
            images = self.pooled.images
            raise UsageError(
                f"sets that hold the true label with probability {level:g} need at least {fewest_images(level)}"
                f" images held out from training; this model has {images}",
                f"choose a level of at most {math.floor(images / (images + 1) * 1000) / 1000:g},"
                " or train with more labelled images",
            )
        own = [scores.threshold(level) if scores else None for scores in self.classes]
        return np.array([pooled if threshold is None else threshold for threshold in own])

    def as_json(self) -> dict[str, Any]:
        return {
            "pooled": self.pooled.as_json(),
            "classes": [scores.as_json() if scores else None for scores in self.classes],
        }

    @classmethod
    def from_json(cls, value: Any) -> ConformalScores:
        """Return the scores that `as_json` gave. Raises ValueError, TypeError or KeyError if they are damaged."""
        classes = tuple(None if scores is None else _scores_of(scores) for scores in value["classes"])
        return cls(_scores_of(value["pooled"]), classes)


def fewest_images(level: float) -> int:
    """Return the number of validation images that sets of this level need at least."""
    return math.ceil(level / (1 - level) * (1 - 1e-9))  # 0.9999 / 0.0001 is a little more than 9,999


def conformal_scores(probabilities: Array, targets: Targets, groups: Sequence[str] = ()) -> ConformalScores:
    """Return the scores of validation images.

    probabilities: float64 [N, C], calibrated; targets: int [N]; groups: of the images, as in `Split`
    """
    own = probabilities[np.arange(len(targets)), targets]
    clusters = cluster_indices(groups)
    clusters = np.arange(len(targets)) if clusters is None else clusters
    members = [targets == index for index in range(probabilities.shape[1])]
    classes = (_kept(own[chosen], clusters[chosen], KEPT_OF_CLASS) if chosen.any() else None for chosen in members)
    return ConformalScores(
        _kept(own, clusters, KEPT),
        tuple(scores if scores and scores.images >= CLASS_IMAGES else None for scores in classes),
    )


def _kept(own: Array, clusters: Targets, limit: int) -> Scores:
    """Return the scores of n independent images; ranks are denser at the low end, where those of high levels are."""
    images = int(independent_images(clusters)[-1] + 1e-9)
    ranks = np.arange(1, images + 1)
    if images > limit:
        ranks = np.unique(np.geomspace(1, images, limit).astype(int))
    places = np.floor(ranks * len(own) / images + 1e-9).astype(int) - 1
    scores = np.floor(np.sort(own)[places] * 10**DIGITS) / 10**DIGITS
    return Scores(images, tuple(ranks.tolist()), tuple(scores.tolist()))


def _scores_of(value: Mapping[str, Any]) -> Scores:
    images, ranks, scores = value["images"], tuple(value["ranks"]), tuple(value["scores"])
    whole = all(type(number) is int for number in (images, *ranks))
    real = all(type(number) in (int, float) and 0 <= number <= 1 for number in scores)
    ascending = list(ranks) == sorted({*ranks}) and list(scores) == sorted(scores)
    if not (
        whole and real and ascending and ranks and ranks[0] == 1 and len(ranks) == len(scores) <= ranks[-1] <= images
    ):
        raise ValueError("the conformal scores are not ranks and probabilities")
    return Scores(images, ranks, scores)


def prediction_sets(probabilities: Array, thresholds: Array) -> npt.NDArray[np.bool_]:
    """Return the labels in the set of each image, bool [N, C]; the most probable label is always in it.

    probabilities: float [N, C]; thresholds: as returned by `ConformalScores.thresholds`
    """
    sets: npt.NDArray[np.bool_] = probabilities >= thresholds
    sets[np.arange(len(sets)), probabilities.argmax(axis=1)] = True
    return sets


def conformal_metrics(probabilities: Array, targets: Targets, scores: ConformalScores) -> dict[str, Any]:
    """Return the coverage and the mean size of the sets at each of `LEVELS`, as `evaluate` reports them.

    They are None at a level for which there are too few validation images.
    """
    return {
        "validation_images": scores.pooled.images,
        "classes_with_own_threshold": sum(one is not None for one in scores.classes),
        "levels": [{"level": level, **_of_level(probabilities, targets, scores, level)} for level in LEVELS],
    }


def _of_level(probabilities: Array, targets: Targets, scores: ConformalScores, level: float) -> dict[str, Any]:
    if scores.pooled.threshold(level) is None:
        return {"coverage": None, "interval": None, "mean_size": None}
    sets = prediction_sets(probabilities, scores.thresholds(level))
    held = int(sets[np.arange(len(targets)), targets].sum())
    interval = wilson(held, len(targets))
    return {
        "coverage": held / len(targets),
        "interval": list(interval) if interval else None,
        "mean_size": float(sets.sum(axis=1).mean()),
    }
