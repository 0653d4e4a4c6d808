"""How sure a number is: 95% intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.evaluation.metrics.confusion import PER_CLASS, Array, Counts, Targets, count
from transfercli.evaluation.metrics.registry import METRICS, log_losses
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, drawn_weights
from transfercli.evaluation.statistics.skewed_intervals import Interval, of_gaps, of_share, of_skewed_mean

CONFIDENCE = 0.95
# The normal quantile of (1 + CONFIDENCE) / 2.
Z = 1.959963984540054
# Metrics that are proportions of images, for which Wilson's interval holds.
PROPORTIONS = ("accuracy", "top5_accuracy")
# Sorting a thousand resamples for each of more classes takes longer than predicting the images.
RANKED_CLASSES = 20
RANKED = ("roc_auc", "average_precision")


def wilson(right: int, images: int) -> Interval | None:
    """The score interval of a proportion (Wilson 1927); None without images. Honest near 0 and 1, unlike p +- 2 s."""
    if images == 0:
        return None
    share = right / images
    scale = 1 + Z**2 / images
    centre = (share + Z**2 / (2 * images)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / images + Z**2 / (4 * images**2))
    # At the ends the formula gives exactly 0 or 1; rounding does not.
    return (0.0 if right == 0 else centre - half, 1.0 if right == images else centre + half)


def intervals(
    targets: Targets, probabilities: Array, labels: Sequence[str], asked: Iterable[str] = (), seed: int = 0
) -> dict[str, Interval]:
    """Of every metric, and as `recall[LABEL]` (precision, f1) of every class; a name without one is left out.

    Wilson's for proportions of images and recalls, those of SKEWED, percentiles of the stratified bootstrap for the
    rest. With more than 20 classes, the metrics that rank images have one only where they are `asked` for.
    """
    names = [name for name in METRICS if name not in PROPORTIONS]
    if len(labels) > RANKED_CLASSES:
        names = [name for name in names if name not in RANKED or name in asked]
    found = count(targets, probabilities.argmax(axis=1), len(labels))
    images, drawn = len(targets), resampled(names, targets, probabilities, seed)
    values = drawn.values
    result: dict[str, Interval | None] = {
        name: wilson(round(METRICS[name].function(targets, probabilities) * images), images) for name in PROPORTIONS
    }
    result |= {name: SKEWED[name](drawn) if name in SKEWED else percentiles(values[name]) for name in names}
    for index, label in enumerate(labels):
        right, support = int(found.right[index]), int(found.support[index])
        result[f"recall[{label}]"] = wilson(right, support)
        for name in ("precision", "f1"):
            result[f"{name}[{label}]"] = percentiles(values[name][:, index]) if support else None
    # MCC, of a single class, is 0 without a mistake: accuracy's interval says nothing of that.
    perfect = [name for name in names if np.allclose(values[name], 1)]
    _without_mistakes(result, found, labels, perfect)
    return {name: interval for name, interval in result.items() if interval is not None}


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """Predictions and what 1,000 stratified resamples of them give.

    whole: every image once; values: each metric, [R], and each of PER_CLASS, [R, C]; gaps: `Sample.gaps`, [R, 15]
    """

    whole: Sample
    values: dict[str, Array]
    gaps: Array


def resampled(names: Iterable[str], targets: Targets, probabilities: Array, seed: int) -> Resampled:
    """Draw once for all the metrics `names`."""
    blocks: dict[str, list[Array]] = {name: [] for name in (*names, *PER_CLASS)}
    gaps = []
    for weights in drawn_weights(targets, RESAMPLES, np.random.default_rng(seed)):
        sample = Sample(targets, probabilities, weights)
        for name, values in blocks.items():
            values.append(METRICS[name].rule(sample) if name in METRICS else PER_CLASS[name](sample.counts))
        gaps.append(sample.gaps)
    joined = {name: np.concatenate(values) for name, values in blocks.items()}
    return Resampled(Sample.whole(targets, probabilities), joined, np.concatenate(gaps))


def _of_log_loss(drawn: Resampled) -> Interval | None:
    whole = drawn.whole
    return of_skewed_mean(log_losses(whole.targets, whole.probabilities), whole.targets, CONFIDENCE)


def _of_average_precision(drawn: Resampled) -> Interval | None:
    values = drawn.values["average_precision"]
    interval = percentiles(values)
    # At 0 and 1 there are no odds; an undefined value fails here too.
    if interval is None or not (values.min() > 0 and values.max() < 1):
        return interval
    return of_share(float(METRICS["average_precision"].rule(drawn.whole)[0]), values, Z)


def _of_ece(drawn: Resampled) -> Interval | None:
    return of_gaps(drawn.whole.gaps[0], drawn.gaps, CONFIDENCE, Z)


# Metrics for which percentiles fall short; for every other row of METRICS they hold.
SKEWED: dict[str, Callable[[Resampled], Interval | None]] = {
    "log_loss": _of_log_loss,
    "average_precision": _of_average_precision,
    "ece": _of_ece,
}


def percentiles(values: Array, confidence: float = CONFIDENCE) -> Interval | None:
    """The percentile interval (Efron & Tibshirani 1993) of the values of resamples.

    None where no value is defined, and where all resamples agree: a model that made no mistake on this split has shown
    none to draw from, and an interval of no width would claim a certainty that nobody has.
    """
    values = values[np.isfinite(values)]
    if len(values) == 0 or np.ptp(values) < 1e-12:
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _without_mistakes(
    result: dict[str, Interval | None], found: Counts, labels: Sequence[str], perfect: Iterable[str]
) -> None:
    """Where nothing was mistaken, no resample knows a mistake: Wilson's interval of the same images stands in.

    Of those predicted as the class for precision, of those of the class for F1, and accuracy's for the metrics of the
    whole split that are then `perfect`, 1 in every resample.
    """
    for index, label in enumerate(labels):
        if 0 < found.right[index] == found.predicted[index]:
            result[f"precision[{label}]"] = wilson(int(found.right[index]), int(found.predicted[index]))
            if found.right[index] == found.support[index]:
                result[f"f1[{label}]"] = result[f"recall[{label}]"]
    if found.right.sum() == found.support.sum():
        best = [name for name in perfect if METRICS[name].higher_is_better and name not in RANKED]
        result |= {name: result["accuracy"] for name in best if result[name] is None}
