"""95% confidence intervals of metrics: Wilson's for proportions, a stratified bootstrap for all others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.evaluation.metrics.confusion import PER_CLASS, Array, Counts, Targets, count
from transfercli.evaluation.metrics.registry import METRICS, log_losses
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
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


def wilson(right: int, images: int) -> Interval | None:
    """Return the score interval of a proportion (Wilson 1927), which also holds near 0 and 1; None without images."""
    if images == 0:
        return None
    share = right / images
    scale = 1 + Z**2 / images
    centre = (share + Z**2 / (2 * images)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / images + Z**2 / (4 * images**2))
    # Exactly 0 and 1 by the formula, but not with floating-point rounding.
    return (0.0 if right == 0 else centre - half, 1.0 if right == images else centre + half)


def intervals(
    targets: Targets, probabilities: Array, labels: Sequence[str], requested: Iterable[str] = (), seed: int = 0
) -> dict[str, Interval]:
    """Return the 95% interval of every metric and, as `recall[LABEL]` (precision, f1), of every class.

    Wilson's interval for proportions of images and recalls, those of SKEWED for its metrics, percentiles of the
    stratified bootstrap for all others. Metrics without an interval are left out; with more than 20 classes these
    include ranking metrics that are not `requested`.
    """
    names = [name for name in METRICS if name not in PROPORTIONS]
    if len(labels) > RANKED_CLASSES:
        names = [name for name in names if name not in RANKED or name in requested]
    counts = count(targets, probabilities.argmax(axis=1), len(labels))
    images, drawn = len(targets), resampled(names, targets, probabilities, seed)
    values = drawn.values
    result: dict[str, Interval | None] = {
        name: wilson(round(METRICS[name].function(targets, probabilities) * images), images) for name in PROPORTIONS
    }
    result |= {name: SKEWED[name](drawn) if name in SKEWED else percentiles(values[name]) for name in names}
    for index, label in enumerate(labels):
        right, support = int(counts.right[index]), int(counts.support[index])
        result[f"recall[{label}]"] = wilson(right, support)
        for name in ("precision", "f1"):
            result[f"{name}[{label}]"] = percentiles(values[name][:, index]) if support else None
    # Not every metric is 1 without mistakes: MCC is 0 if all images are of one class.
    perfect = [name for name in names if np.allclose(values[name], 1)]
    _without_mistakes(result, counts, labels, perfect)
    return {name: interval for name, interval in result.items() if interval is not None}


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """Predictions, and the metrics of 1,000 stratified resamples of them.

    original: every image once; values: each metric, [R], and each of PER_CLASS, [R, C]; gaps: `Sample.gaps`, [R, B]
    """

    original: Sample
    values: dict[str, Array]
    gaps: Array


def resampled(names: Iterable[str], targets: Targets, probabilities: Array, seed: int) -> Resampled:
    """Compute the metrics `names` on the same 1,000 resamples."""
    blocks: dict[str, list[Array]] = {name: [] for name in (*names, *PER_CLASS)}
    gaps = []
    for weights in resample_weights(targets, RESAMPLES, np.random.default_rng(seed)):
        sample = Sample(targets, probabilities, weights)
        for name, values in blocks.items():
            values.append(METRICS[name].rule(sample) if name in METRICS else PER_CLASS[name](sample.counts))
        gaps.append(sample.gaps)
    joined = {name: np.concatenate(values) for name, values in blocks.items()}
    return Resampled(Sample.unweighted(targets, probabilities), joined, np.concatenate(gaps))


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
    return gap_sum_interval(drawn.original.gaps[0], drawn.gaps, CONFIDENCE, Z)


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
    result: dict[str, Interval | None], counts: Counts, labels: Sequence[str], perfect: Iterable[str]
) -> None:
    """Set Wilson's interval for metrics without a mistake in the split, as no resample can have one.

    Precision gets the interval of the images predicted as the class, F1 that of the images of the class, and the
    metrics of the whole split that are `perfect`, 1 in every resample, that of accuracy.
    """
    for index, label in enumerate(labels):
        if 0 < counts.right[index] == counts.predicted[index]:
            result[f"precision[{label}]"] = wilson(int(counts.right[index]), int(counts.predicted[index]))
            if counts.right[index] == counts.support[index]:
                result[f"f1[{label}]"] = result[f"recall[{label}]"]
    if counts.right.sum() == counts.support.sum():
        best = [name for name in perfect if METRICS[name].higher_is_better and name not in RANKED]
        result |= {name: result["accuracy"] for name in best if result[name] is None}
