"""95% confidence intervals of metrics: Wilson's for proportions, a stratified bootstrap for all others.

If images are in groups, both count groups: Wilson's formula takes the effective number of images, and the bootstrap
draws whole groups (`statistics/clusters.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import PER_CLASS, Array, Targets
from transfercli.evaluation.metrics.registry import METRICS, log_losses, top5_hits
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.clusters import (
    Clusters,
    effective_images,
    expanded_confidence,
    normal_quantile,
)
from transfercli.evaluation.statistics.skewed_intervals import (
    Interval,
    gap_sum_interval,
    log_mean_interval,
    log_odds_interval,
)

CONFIDENCE = 0.95
# The normal quantile of (1 + CONFIDENCE) / 2.
Z = 1.959963984540054
# Metrics that are proportions of images, with Wilson's interval.
PROPORTIONS = ("accuracy", "top5_accuracy")
# With more classes, sorting 1,000 resamples for each class takes longer than predicting the images.
RANKED_CLASSES = 20
RANKED = ("roc_auc", "average_precision")


def wilson(right: float, images: float) -> Interval | None:
    """Return the score interval of a proportion (Wilson 1927), which also holds near 0 and 1; None without images.

    The numbers may be fractions: an effective number of images, and the right ones among them.
    """
    if images == 0:
        return None
    share = right / images
    scale = 1 + Z**2 / images
    centre = (share + Z**2 / (2 * images)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / images + Z**2 / (4 * images**2))
    # Exactly 0 and 1 by the formula, but not with floating-point rounding.
    return (0.0 if right == 0 else centre - half, 1.0 if right == images else centre + half)


def proportion_interval(hits: npt.NDArray[np.bool_], of_image: Targets | None = None) -> Interval | None:
    """Return Wilson's interval of the share of hits, bool [N], among images; None without images.

    of_image: int [N], the cluster of each image; None if all are independent
    """
    right, images = int(hits.sum()), len(hits)
    if of_image is None or len(np.unique(of_image)) == images:
        return wilson(right, images)
    effective = effective_images(hits, of_image, CONFIDENCE)
    return wilson(right / images * effective, effective)


def intervals(
    targets: Targets,
    probabilities: Array,
    labels: Sequence[str],
    requested: Iterable[str] = (),
    seed: int = 0,
    groups: Sequence[str] = (),
) -> dict[str, Interval]:
    """Return the 95% interval of every metric and, as `recall[LABEL]` (precision, f1), of every class.

    Wilson's interval for proportions of images and recalls, those of SKEWED for its metrics, percentiles of the
    stratified bootstrap for all others. Metrics without an interval are left out; with more than 20 classes these
    include ranking metrics that are not `requested`. groups: as of `Predictions`.
    """
    names = [name for name in METRICS if name not in PROPORTIONS]
    if len(labels) > RANKED_CLASSES:
        names = [name for name in names if name not in RANKED or name in requested]
    clusters = Clusters.find(groups, targets)
    drawn = resampled(names, targets, probabilities, seed, clusters)
    values, of_image, original = drawn.values, clusters and clusters.of_image, drawn.original
    share = partial(_share_interval, of_image=of_image)
    hits = {"accuracy": original.right, "top5_accuracy": top5_hits(targets, probabilities)}
    result = {name: share(hits[name]) for name in PROPORTIONS}
    result |= {
        name: SKEWED[name](drawn) if name in SKEWED else percentiles(values[name], drawn.confidence) for name in names
    }
    for index, label in enumerate(labels):
        mine = targets == index
        result[f"recall[{label}]"] = share(original.right, mine)
        for name in ("precision", "f1"):
            result[f"{name}[{label}]"] = percentiles(values[name][:, index], drawn.confidence) if mine.any() else None
    # Not every metric is 1 without mistakes: MCC is 0 if all images are of one class.
    perfect = [name for name in names if np.allclose(values[name], 1)]
    _without_mistakes(result, original, labels, perfect, share)
    return {name: interval for name, interval in result.items() if interval is not None}


def _share_interval(
    hits: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_] | None = None, *, of_image: Targets | None
) -> Interval | None:
    """Return the interval of the share of hits among the images that are `chosen`, bool [N]; None for all."""
    if chosen is None:
        return proportion_interval(hits, of_image)
    return proportion_interval(hits[chosen], None if of_image is None else of_image[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """Predictions, and the metrics of 1,000 stratified resamples of them.

    original: every image once; values: each metric, [R], and each of PER_CLASS, [R, C]; gaps: `Sample.gaps`, [R, 15];
    clusters: what was drawn; None for images
    """

    original: Sample
    values: dict[str, Array]
    gaps: Array
    clusters: Clusters | None = None

    @property
    def confidence(self) -> float:
        """Confidence of percentiles that hold CONFIDENCE."""
        return expanded_confidence(CONFIDENCE, self.clusters)

    @property
    def quantile(self) -> float:
        """Normal quantile of an interval that holds CONFIDENCE."""
        return Z if self.clusters is None else normal_quantile(CONFIDENCE, self.clusters)


def resampled(
    names: Iterable[str], targets: Targets, probabilities: Array, seed: int, clusters: Clusters | None = None
) -> Resampled:
    """Compute the metrics `names` on the same 1,000 resamples."""
    blocks: dict[str, list[Array]] = {name: [] for name in (*names, *PER_CLASS)}
    gaps = []
    for weights in resample_weights(targets, RESAMPLES, np.random.default_rng(seed), clusters):
        sample = Sample(targets, probabilities, weights)
        for name, values in blocks.items():
            values.append(METRICS[name].rule(sample) if name in METRICS else PER_CLASS[name](sample.counts))
        gaps.append(sample.gaps)
    joined = {name: np.concatenate(values) for name, values in blocks.items()}
    return Resampled(Sample.unweighted(targets, probabilities), joined, np.concatenate(gaps), clusters)


def _of_log_loss(drawn: Resampled) -> Interval | None:
    sample = drawn.original
    losses = log_losses(sample.targets, sample.probabilities)
    return log_mean_interval(losses, sample.targets, CONFIDENCE, drawn.clusters)


def _of_average_precision(drawn: Resampled) -> Interval | None:
    values = drawn.values["average_precision"]
    interval = percentiles(values, drawn.confidence)
    # The log odds of 0 and 1 are infinite; an undefined value is excluded here, too.
    if interval is None or not (values.min() > 0 and values.max() < 1):
        return interval
    return log_odds_interval(float(METRICS["average_precision"].rule(drawn.original)[0]), values, drawn.quantile)


def _of_ece(drawn: Resampled) -> Interval | None:
    return gap_sum_interval(drawn.original.gaps[0], drawn.gaps, drawn.confidence, drawn.quantile)


# Metrics whose percentile intervals cover the true value too rarely; all other rows of METRICS use percentiles.
SKEWED: dict[str, Callable[[Resampled], Interval | None]] = {
    "log_loss": _of_log_loss,
    "average_precision": _of_average_precision,
    "ece": _of_ece,
}


def percentiles(values: Array, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the percentile interval (Efron & Tibshirani 1993) of the values of resamples.

    None if no value is defined or all are equal: without mistakes in the split no resample has one, and an interval of
    width 0 would claim certainty.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0 or np.ptp(values) < 1e-12:
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _without_mistakes(
    result: dict[str, Interval | None],
    sample: Sample,
    labels: Sequence[str],
    perfect: Iterable[str],
    share: Callable[..., Interval | None],
) -> None:
    """Set Wilson's interval for metrics without a mistake in the split, as no resample can have one.

    Precision gets the interval of the images predicted as the class, F1 that of the images of the class, and the
    metrics of the whole split that are `perfect`, 1 in every resample, that of accuracy. share: `_share_interval`
    """
    right, predicted, targets = sample.right, sample.predicted, sample.targets
    for index, label in enumerate(labels):
        answered = predicted == index
        if answered.any() and right[answered].all():
            result[f"precision[{label}]"] = share(right, answered)
            if right[targets == index].all():
                result[f"f1[{label}]"] = result[f"recall[{label}]"]
    if right.all():
        best = [name for name in perfect if METRICS[name].higher_is_better and name not in RANKED]
        result |= {name: result["accuracy"] for name in best if result[name] is None}
