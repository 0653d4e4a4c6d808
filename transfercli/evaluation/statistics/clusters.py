"""Clusters: the units that are independent of each other, which are groups of images, or single images.

Images of one subject resemble each other. Statistics that took them for independent would be far too sure, so they
resample, swap and permute whole groups (`data.group`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Targets

# Groups without information that the effective number of images counts as if their images were all alike. Coverage
# decided (benchmarks/RESULTS.md): without it, an interval misses the truth too often if few groups have mistakes.
PRIOR_GROUPS = 0.5


def cluster_indices(groups: Sequence[str]) -> Targets | None:
    """Return the cluster of each image, int64 [N], from 0; None if every image is independent.

    groups: the name of each image's group, empty if no image has one. An image without a group ("") is a cluster of its
    own. Clusters are numbered in the order of their first images.
    """
    index_of: dict[str | int, int] = {}
    found = [index_of.setdefault(group or image, len(index_of)) for image, group in enumerate(groups)]
    return None if len(index_of) == len(found) else np.array(found, np.int64)


def count_clusters(groups: Sequence[str]) -> int | None:
    """Return the number of independent groups of images, counting an image without one; None if no image has one."""
    return len({group or image for image, group in enumerate(groups)}) if any(groups) else None


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Clusters of N images and the strata within which they are resampled.

    of_image: int64 [N], the cluster of each image; strata: int64 [G], the stratum of each cluster. A stratum is a class
    if every cluster has images of one class only and every class has at least two clusters; otherwise all clusters are
    one stratum, as a cluster with images of several classes cannot keep the number of images of each.
    """

    of_image: Targets
    strata: Targets

    @classmethod
    def find(cls, groups: Sequence[str], targets: Targets) -> Clusters | None:
        """Return the clusters of images with these groups and classes; None if every image is independent."""
        of_image = cluster_indices(groups)
        if of_image is None:
            return None
        first = np.unique(of_image, return_index=True)[1]
        classes = np.unique(targets[first], return_inverse=True)[1]
        pure = np.array_equal(targets, targets[first][of_image])
        by_class = pure and np.bincount(classes).min() > 1
        return cls(of_image, classes if by_class else np.zeros(len(first), np.int64))

    def __len__(self) -> int:
        return len(self.strata)

    @property
    def degrees(self) -> int:
        """Degrees of freedom of a variance between clusters within strata; at least 1."""
        return max(1, len(self) - len(np.unique(self.strata)))


def normal_quantile(confidence: float, clusters: Clusters | None = None) -> float:
    """Return the two-sided normal quantile; with clusters, the one that keeps the confidence with few of them.

    Resampling n clusters has (n - 1) / n of the true variance, which is estimated with few degrees of freedom. So the
    quantile is Student's, times the square root of n / (n - 1) (the expanded percentiles of Hesterberg 2015, "What
    Teachers Should Know About the Bootstrap").
    """
    if clusters is None or confidence <= 0:
        return NormalDist().inv_cdf((1 + confidence) / 2)
    from scipy.special import stdtrit

    degrees = clusters.degrees
    return float(stdtrit(degrees, (1 + confidence) / 2)) * math.sqrt(max(len(clusters), 2) / degrees)


def expanded_confidence(confidence: float, clusters: Clusters | None) -> float:
    """Return the confidence at which percentiles of resampled clusters hold `confidence`; the same without clusters."""
    return confidence if clusters is None else 2 * NormalDist().cdf(normal_quantile(confidence, clusters)) - 1


def effective_images(hits: npt.NDArray[np.bool_], of_image: Targets, confidence: float) -> float:
    """Return the number of independent images whose share of hits is as uncertain as that of the clusters' images.

    hits: bool [N]; of_image: int [N], the cluster of each. N is divided by the design effect: the variance between
    clusters over that of independent images (Rao & Scott 1992, "A Simple Method for the Analysis of Clustered Binary
    Data"), at least 1. The squared ratio of Student's quantiles accounts for few clusters (Korn & Graubard 1998,
    "Confidence Intervals for Proportions with Small Expected Number of Positive Counts"). Clusters that are all hits or
    all misses tell little about the design effect, so it is averaged with that of images that are all alike in a
    cluster, which counts as much as `PRIOR_GROUPS` clusters of the rarer outcome.
    """
    from scipy.special import stdtrit

    images, share = len(hits), hits.mean()
    _, index, sizes = np.unique(of_image, return_inverse=True, return_counts=True)
    right = np.bincount(index, hits)
    clusters, alike = len(sizes), float((sizes**2).sum() / images)
    informative, effect = min(int((right > 0).sum()), int((right < sizes).sum())), 1.0
    if clusters < 2:
        return images / alike
    if informative:
        between = clusters / (clusters - 1) * ((right - share * sizes) ** 2).sum()
        effect = float(between / (images * share * (1 - share)))
    effect = (informative * effect + PRIOR_GROUPS * alike) / (informative + PRIOR_GROUPS)
    tail = (1 + confidence) / 2
    return images / max(effect, 1.0) * float(stdtrit(images - 1, tail) / stdtrit(clusters - 1, tail)) ** 2
