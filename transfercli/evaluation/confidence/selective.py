"""Selective classification: the risk-coverage curve, and the confidence threshold for a target."""

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
    """

    confidence: Array
    images: Array
    right: Array

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


def coverage_curve(confidence: Array, right: npt.NDArray[np.bool_]) -> CoverageCurve:
    """Return the curve for confidence float64 [N] and right bool [N], True if the prediction is correct."""
    order = np.argsort(-confidence, kind="stable")
    confidence, hits = confidence[order], np.cumsum(right[order])
    ends = np.flatnonzero(np.r_[np.diff(confidence) != 0, True])
    return CoverageCurve(confidence[ends], (ends + 1).astype(np.float64), hits[ends].astype(np.float64))


def threshold_for_accuracy(curve: CoverageCurve, target: float) -> float | None:
    """Return the threshold of the largest coverage with at least this accuracy; None if no threshold reaches it."""
    sufficient = np.flatnonzero(curve.accuracy >= target - 1e-12)
    return curve.threshold(int(sufficient[-1])) if len(sufficient) else None


def threshold_for_coverage(curve: CoverageCurve, target: float) -> float | None:
    """Return the highest threshold that covers at least this share of the images."""
    return curve.threshold(int(np.flatnonzero(curve.coverage >= target - 1e-12)[0]))


THRESHOLD_RULES = {"accuracy": threshold_for_accuracy, "coverage": threshold_for_coverage}
