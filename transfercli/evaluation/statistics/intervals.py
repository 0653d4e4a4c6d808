"""95% confidence intervals of metrics: Wilson's for proportions, a stratified bootstrap for all others.

If images are in groups, both count groups: Wilson's formula takes the effective number of images, and the bootstrap
draws whole groups (`statistics/design_effect.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.metrics.confusion import PER_CLASS, Array, Counts, Targets
from transfercli.evaluation.metrics.registry import METRICS, Bounds, log_losses, top5_hits
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.design_effect import (
    FEW_GROUPS,
    design_effects,
    effective_images,
    normal_quantile,
)
from transfercli.evaluation.statistics.skewed_intervals import (
    Interval,
    bounded_interval,
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
    answers: Targets | None = None,
) -> dict[str, Interval]:
    """Return the 95% interval of every metric and, as `recall[LABEL]` (precision, f1), of every class.

    Wilson's interval for proportions of images and recalls, those of SKEWED for its metrics, percentiles of the
    stratified bootstrap for all others. Metrics without an interval are left out; with more than 20 classes these
    include ranking metrics that are not `requested`. groups, answers: as of `Predictions`; with fewer than
    `FEW_GROUPS` only proportions have an interval.
    """
    names = [name for name in METRICS if name not in PROPORTIONS]
    if len(labels) > RANKED_CLASSES:
        names = [name for name in names if name not in RANKED or name in requested]
    of_image = cluster_indices(groups)
    drawn = resampled(names, Sample.unweighted(targets, probabilities, answers), seed, of_image)
    values, original = drawn.values, drawn.original
    share = partial(_share_interval, of_image=of_image)
    hits = {"accuracy": original.right, "top5_accuracy": top5_hits(targets, probabilities)}
    result = {name: share(hits[name]) for name in PROPORTIONS}
    result |= {name: _interval(name, drawn) for name in names}
    for index, label in enumerate(labels):
        mine = targets == index
        result[f"recall[{label}]"] = share(original.right, mine)
        for name in ("precision", "f1"):
            result[f"{name}[{label}]"] = _class_interval(name, index, drawn) if mine.any() else None
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

    original: every image once; values: each metric, [R], and each of PER_CLASS, [R, C]; gaps: `Sample.gaps`, [R, B];
    of_image: int [N], the cluster of each image, if clusters were drawn
    """

    original: Sample
    values: dict[str, Array]
    gaps: Array
    of_image: Targets | None = None

    @property
    def too_few(self) -> bool:
        """True if clusters were drawn, and there are fewer than `FEW_GROUPS`."""
        return self.of_image is not None and int(self.of_image.max()) + 1 < FEW_GROUPS

    @property
    def quantile(self) -> float:
        """Normal quantile of an interval that holds CONFIDENCE.

        With clusters it is larger by as much as few clusters with mistakes underestimate the variance of accuracy.
        """
        if self.of_image is None:
            return Z
        between, effect = design_effects(self.original.right, self.of_image)
        return normal_quantile(CONFIDENCE, int(self.of_image.max()) + 1) * math.sqrt(effect / between)


def resampled(names: Iterable[str], original: Sample, seed: int, of_image: Targets | None = None) -> Resampled:
    """Compute the metrics `names` on the same 1,000 resamples of an unweighted sample."""
    targets = original.targets
    blocks: dict[str, list[Array]] = {name: [] for name in (*names, *PER_CLASS)}
    gaps = []
    for weights in resample_weights(targets, RESAMPLES, np.random.default_rng(seed), of_image):
        sample = Sample(targets, original.probabilities, weights, len(targets), original.answers)
        for name, values in blocks.items():
            values.append(METRICS[name].rule(sample) if name in METRICS else _of_classes(name, sample.counts))
        gaps.append(sample.gaps)
    joined = {name: np.concatenate(values) for name, values in blocks.items()}
    return Resampled(original, joined, np.concatenate(gaps), of_image)


def _of_classes(name: str, counts: Counts) -> Array:
    """Return a metric of PER_CLASS, [R, C]; NaN for a class without images in a resample of clusters."""
    return np.where(counts.support > 0, PER_CLASS[name](counts), np.nan)


def _interval(name: str, drawn: Resampled) -> Interval | None:
    if drawn.too_few:
        return None
    if drawn.of_image is not None and name != "ece":
        bounds = METRICS[name].bounds
        return _clustered_interval(
            float(METRICS[name].rule(drawn.original)[0]), drawn.values[name], bounds, drawn.quantile
        )
    return SKEWED[name](drawn) if name in SKEWED else percentiles(drawn.values[name])


def _class_interval(name: str, index: int, drawn: Resampled) -> Interval | None:
    """Return the interval of a metric of PER_CLASS of the class with this index."""
    if drawn.too_few:
        return None
    values = drawn.values[name][:, index]
    if drawn.of_image is None:
        return percentiles(values)
    return _clustered_interval(
        float(PER_CLASS[name](drawn.original.counts)[0, index]), values, Bounds(), drawn.quantile
    )


def _clustered_interval(value: float, drawn: Array, bounds: Bounds, quantile: float) -> Interval | None:
    """Return an interval from the spread of resampled clusters: their percentiles are too narrow with few clusters."""
    known = drawn[np.isfinite(drawn)]
    if len(known) == 0 or np.ptp(known) < 1e-12 or not bounds.low < value < bounds.high:
        return None
    return bounded_interval(value, float(known.std()), bounds.low, bounds.high, quantile)


def _of_log_loss(drawn: Resampled) -> Interval | None:
    sample = drawn.original
    return log_mean_interval(log_losses(sample.targets, sample.probabilities), sample.targets, CONFIDENCE)


def _of_average_precision(drawn: Resampled) -> Interval | None:
    values = drawn.values["average_precision"]
    interval = percentiles(values)
    # The log odds of 0 and 1 are infinite; an undefined value is excluded here, too.
    if interval is None or not (values.min() > 0 and values.max() < 1):
        return interval
    return log_odds_interval(float(METRICS["average_precision"].rule(drawn.original)[0]), values, Z)


def _of_ece(drawn: Resampled) -> Interval | None:
    return gap_sum_interval(
        drawn.original.gaps[0], drawn.gaps, 2 * NormalDist().cdf(drawn.quantile) - 1, drawn.quantile
    )


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
