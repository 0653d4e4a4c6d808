"""Selective classification: the risk-coverage curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Array

POINTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class CoverageCurve:
    """The risk-coverage curve (El-Yaniv & Wiener 2010), with one point for each of K distinct confidences.

    confidence: float64 [K], descending
    images, right: float64 [K], the number of images of at least this confidence, and of those that are right
    votes: float64 [K], the number of independent images that so many images of groups are worth
    """

    confidence: Array
    images: Array
    right: Array
    votes: Array

    @property
    def coverage(self) -> Array:
        """[K], the share of images of at least each confidence, ascending to 1."""
        return self.images / self.images[-1]

    @property
    def accuracy(self) -> Array:
        """[K], the accuracy on the covered images; the risk is 1 minus this."""
        return self.right / self.images

    @property
    def area(self) -> float:
        """AURC (Geifman et al. 2019): the mean risk at coverages 1/N, 2/N, …, 1, averaged over the order of ties."""
        ranks = np.arange(1, int(self.images[-1]) + 1)
        right = np.interp(ranks, np.r_[0.0, self.images], np.r_[0.0, self.right])
        return float((1 - right / ranks).mean())

    def threshold(self, point: int) -> float:
        """Return a threshold that covers the images of the first `point` + 1 confidences; 0 if it covers all.

        It is half way to the next confidence, so that float32 rounding cannot change the coverage.
        """
        following = self.confidence[point + 1] if point + 1 < len(self.confidence) else None
        return 0.0 if following is None else float((self.confidence[point] + following) / 2)

    def as_json(self) -> dict[str, Any]:
        """Return at most 200 evenly spaced points of the curve, and its area."""
        points = np.unique(np.linspace(0, len(self.confidence) - 1, min(POINTS, len(self.confidence))).astype(int))
        columns = {"coverage": self.coverage, "accuracy": self.accuracy, "confidence": self.confidence}
        return {name: values[points].tolist() for name, values in columns.items()} | {"aurc": self.area}


def coverage_curve(
    confidence: Array, right: npt.NDArray[np.bool_], clusters: npt.NDArray[np.int64] | None = None
) -> CoverageCurve:
    """Return the curve for confidence float64 [N] and right bool [N], True if the prediction is correct.

    clusters: as returned by `cluster_indices`
    """
    order = np.argsort(-confidence, kind="stable")
    confidence, hits = confidence[order], np.cumsum(right[order])
    ends = np.flatnonzero(np.r_[np.diff(confidence) != 0, True])
    images = (ends + 1).astype(np.float64)
    votes = images if clusters is None else independent_images(clusters[order])[ends]
    return CoverageCurve(confidence[ends], images, hits[ends].astype(np.float64), votes)


def independent_images(clusters: npt.NDArray[np.int64]) -> Array:
    """Return the number of independent images that the first 1, 2, …, N images are worth, float64 [N].

    clusters: int [N], the cluster of each image. It is Kish's (1965) effective size if all images of a cluster were
    the same: n^2 / sum(m^2) for n images in clusters of m.
    """
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(clusters[order]) != 0])
    earlier = np.empty(len(clusters))  # images of the same cluster before each
    earlier[order] = np.arange(len(clusters)) - np.repeat(starts, np.diff(np.r_[starts, len(clusters)]))
    squares = np.cumsum(2 * earlier + 1)
    votes: Array = np.arange(1, len(clusters) + 1) ** 2 / squares
    return votes
