"""Leave to a person what the model is not sure of: how right it is on the rest, and from which confidence on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Array

POINTS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """What is covered if the K most confident groups of images are: the risk-coverage curve (El-Yaniv & Wiener 2010).

    confidence: float64 [K], falling, that of each group of equally sure images
    images, right: float64 [K], how many images are at least as sure, and how many of those are right
    """

    confidence: Array
    images: Array
    right: Array

    @property
    def coverage(self) -> Array:
        """[K], rising to 1."""
        return self.images / self.images[-1]

    @property
    def accuracy(self) -> Array:
        """[K]: of the covered images, the share that is right; the risk is what is missing to 1."""
        return self.right / self.images

    @property
    def area(self) -> float:
        """AURC (Geifman et al. 2019): the mean risk at coverages 1/N, 2/N, …, 1; equally sure images in any order."""
        ranks = np.arange(1, int(self.images[-1]) + 1)
        right = np.interp(ranks, np.r_[0.0, self.images], np.r_[0.0, self.right])
        return float((1 - right / ranks).mean())

    def threshold(self, group: int) -> float:
        """A confidence that the first `group` + 1 groups reach and no other: half way to the next, so that the last
        bits of a float32 decide nothing; 0 where all are covered."""
        following = self.confidence[group + 1] if group + 1 < len(self.confidence) else None
        return 0.0 if following is None else float((self.confidence[group] + following) / 2)

    def as_json(self) -> dict[str, Any]:
        """At most 200 points of the curve, evenly taken, and its area."""
        chosen = np.unique(np.linspace(0, len(self.confidence) - 1, min(POINTS, len(self.confidence))).astype(int))
        lists = {"coverage": self.coverage, "accuracy": self.accuracy, "confidence": self.confidence}
        return {name: values[chosen].tolist() for name, values in lists.items()} | {"aurc": self.area}


def coverage(confidence: Array, right: npt.NDArray[np.bool_]) -> Coverage:
    """From the confidence float64 [N] of each image, and whether it is right, bool [N]."""
    order = np.argsort(-confidence, kind="stable")
    confidence, hits = confidence[order], np.cumsum(right[order])
    ends = np.flatnonzero(np.r_[np.diff(confidence) != 0, True])
    return Coverage(confidence[ends], (ends + 1).astype(np.float64), hits[ends].astype(np.float64))


def for_accuracy(curve: Coverage, wanted: float) -> float | None:
    """The threshold that covers the most images with at least this accuracy; None where none does."""
    enough = np.flatnonzero(curve.accuracy >= wanted - 1e-12)
    return curve.threshold(int(enough[-1])) if len(enough) else None


def for_coverage(curve: Coverage, wanted: float) -> float | None:
    """The highest threshold that covers at least this share of the images."""
    return curve.threshold(int(np.flatnonzero(curve.coverage >= wanted - 1e-12)[0]))


TARGETS = {"accuracy": for_accuracy, "coverage": for_coverage}
