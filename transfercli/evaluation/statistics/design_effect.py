"""Clusters of images in statistics: quantiles for few clusters, and the effective number of images."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Targets

# Clusters whose images are taken to be all alike, added to those of the sample. Coverage decided the number
# (benchmarks/RESULTS.md): with 0, an interval misses the truth too often if few clusters have mistakes.
PRIOR_GROUPS = 0.5
# With fewer groups, an interval from resamples of groups says nothing about most metrics.
FEW_GROUPS = 5


def normal_quantile(confidence: float, clusters: int | None = None) -> float:
    """Return the two-sided normal quantile; with a number of clusters, the one that keeps the confidence with few.

    Resampling n clusters has (n - 1) / n of the true variance, which is estimated with n - 1 degrees of freedom. So the
    quantile is Student's, times the square root of n / (n - 1) (the expanded percentiles of Hesterberg 2015, "What
    Teachers Should Know About the Bootstrap").
    """
    if clusters is None or confidence <= 0:
        return NormalDist().inv_cdf((1 + confidence) / 2)
    from scipy.special import stdtrit

    degrees = max(1, clusters - 1)
    return float(stdtrit(degrees, (1 + confidence) / 2)) * math.sqrt((degrees + 1) / degrees)


def expanded_confidence(confidence: float, clusters: int | None) -> float:
    """Return the confidence at which percentiles of resampled clusters hold `confidence`; the same without clusters."""
    return confidence if clusters is None else 2 * NormalDist().cdf(normal_quantile(confidence, clusters)) - 1


def effective_images(hits: npt.NDArray[np.bool_], of_image: Targets, confidence: float) -> float:
    """Return the number of independent images whose share of hits is as uncertain as that of the clusters' images.

    hits: bool [N]; of_image: int [N], the cluster of each. N is divided by the design effect (Rao & Scott 1992, "A
    Simple Method for the Analysis of Clustered Binary Data"). The squared ratio of Student's quantiles accounts for few
    clusters (Korn & Graubard 1998, "Confidence Intervals for Proportions with Small Expected Number of Positive
    Counts").
    """
    from scipy.special import stdtrit

    images, clusters = len(hits), len(np.unique(of_image))
    effective = images / design_effects(hits, of_image)[1]
    if clusters < 2:
        return effective
    tail = (1 + confidence) / 2
    return effective * float(stdtrit(images - 1, tail) / stdtrit(clusters - 1, tail)) ** 2


def design_effects(hits: npt.NDArray[np.bool_], of_image: Targets) -> tuple[float, float]:
    """Return two estimates of the variance of the share of hits over that of as many independent images.

    The first is the variance between clusters. Clusters that are all hits or all misses tell little about it, so in the
    second it is averaged with the effect of images that are all alike in a cluster, which counts as much as
    `PRIOR_GROUPS` clusters of the rarer outcome; it is at least 1.
    """
    images, share = len(hits), float(hits.mean())
    _, index, sizes = np.unique(of_image, return_inverse=True, return_counts=True)
    right = np.bincount(index, hits)
    clusters, alike = len(sizes), float((sizes**2).sum() / images)
    informative = min(int((right > 0).sum()), int((right < sizes).sum()))
    if clusters < 2 or not informative:
        return alike, alike
    between = clusters / (clusters - 1) * ((right - share * sizes) ** 2).sum()
    effect = float(between / (images * share * (1 - share)))
    return effect, max(1.0, (informative * effect + PRIOR_GROUPS * alike) / (informative + PRIOR_GROUPS))
