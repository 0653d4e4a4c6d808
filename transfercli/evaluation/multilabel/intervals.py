"""95% confidence intervals of the metrics of images with any number of labels.

Images are independent of each other, or groups of images are; the labels of one image are not. So shares of (image,
label) pairs count their effective number, and all other intervals come from a bootstrap over images or groups:

- Wilson's formula for shares: of images, of pairs, precision and recall. F1 is a monotone function of the share of hits
  among the images that have the label or get it, and so has that share's interval.
- Means over labels of precision, recall and F1 join the intervals of the labels (MOVER; Zou & Donner 2008,
  "Construction of confidence limits about effect measures"): a bootstrap is too sure of labels with few images.
- Ranking metrics have a normal interval on the scale of their log odds, corrected for the bias of the bootstrap.
- Log loss, Brier score and coverage have a normal interval on the scale of their bounds.

benchmarks/RESULTS.md has the measured coverage of each.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.metrics.calibration import bins_for
from transfercli.evaluation.metrics.confusion import Array, ratio
from transfercli.evaluation.metrics.ranking import mean_of_defined
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, PER_LABEL, Bools, LabelSample
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.design_effect import FEW_GROUPS, design_effects, normal_quantile
from transfercli.evaluation.statistics.intervals import CONFIDENCE, RANKED_CLASSES, Z, proportion_interval
from transfercli.evaluation.statistics.skewed_intervals import (
    Interval,
    bounded_interval,
    gap_sum_interval,
    log_odds_interval,
)

# Metrics of one label that are shares of images, by the images that they are shares of.
SHARES = ("precision", "recall", "f1")
MACRO = {"macro_precision": "precision", "macro_recall": "recall", "macro_f1": "f1"}
MICRO = {"micro_precision": "precision", "micro_recall": "recall", "micro_f1": "f1"}
RANKED = ("map", "macro_auroc", "micro_ap")
MEAN_OF = {"map": "ap", "macro_auroc": "auroc"}  # over labels
RANKED_PER_LABEL = ("ap", "auroc")
MEANS = ("coverage", "log_loss", "brier")


def label_intervals(
    predictions: LabelPredictions, requested: Collection[str] = (), seed: int = 0
) -> dict[str, Interval]:
    """Return the 95% interval of every metric and, as `ap[LABEL]`, of every metric of a label.

    Metrics without an interval are left out; with more than 20 labels these include ranking metrics that are not
    `requested`, with fewer than `FEW_GROUPS` groups all that are no shares.
    """
    data = _Data(predictions)
    found = _of_shares(data)
    if not data.too_few:
        found |= _of_resamples(data, _resampled(data, requested, seed))
    return {name: interval for name, interval in found.items() if interval is not None}


@dataclass(eq=False)
class _Data:
    """Predictions with the clusters that their images are in."""

    predictions: LabelPredictions

    def __post_init__(self) -> None:
        self.sample = LabelSample.unweighted(self.predictions)
        self.of_image = cluster_indices(self.predictions.groups)
        self.hits = self.sample.truth & self.sample.answered

    @property
    def clusters(self) -> int | None:
        """Number of groups of images, an image without one counting as one; None if no image has one."""
        return None if self.of_image is None else int(self.of_image.max()) + 1

    @property
    def too_few(self) -> bool:
        return self.clusters is not None and self.clusters < FEW_GROUPS

    @cached_property
    def quantile(self) -> float:
        """Normal quantile of an interval that holds CONFIDENCE, larger for groups, as in `intervals.Resampled`."""
        if self.of_image is None or not self.sample.known.any():
            return Z
        images, labels = self.sample.pairs
        between, effect = design_effects(self.sample.right[images, labels], self.of_image[images])
        return normal_quantile(CONFIDENCE, self.clusters) * math.sqrt(effect / between)

    def judged(self, name: str) -> Bools:
        """Return bool [N, L], the pairs that a metric of SHARES is a share of."""
        truth, answered = self.sample.truth, self.sample.answered
        return {"precision": answered, "recall": truth, "f1": truth | answered}[name]

    def share_of_label(self, label: int, hits: Bools, judged: Bools) -> Interval | None:
        """Return the interval of the share of hits among the images judged, both bool [N, L], of one label."""
        chosen = judged[:, label]
        of_image = None if self.of_image is None else self.of_image[chosen]
        return proportion_interval(hits[chosen, label], of_image)

    def share_of_pairs(self, hits: Bools, judged: Bools) -> Interval | None:
        """Return the interval of the share of hits among the pairs judged, both bool [N, L]."""
        images, labels = np.nonzero(judged)
        clusters = images if self.of_image is None else self.of_image[images]
        return proportion_interval(hits[images, labels], clusters) if len(images) else None


def _of_shares(data: _Data) -> dict[str, Interval | None]:
    """Return the intervals of the metrics that are shares of images or pairs."""
    sample = data.sample
    judged = np.any(sample.known, axis=1)
    of_image = None if data.of_image is None else data.of_image[judged]
    all_right = np.all(sample.right | ~sample.known, axis=1)
    accuracy = data.share_of_pairs(sample.right, sample.known)
    found: dict[str, Interval | None] = {
        "subset_accuracy": proportion_interval(all_right[judged], of_image) if judged.any() else None,
        "accuracy": accuracy,
        "hamming_loss": accuracy and (1 - accuracy[1], 1 - accuracy[0]),
    }
    for name, share in MICRO.items():
        found[name] = _of_share(share, data.share_of_pairs(data.hits, data.judged(share)))
    for index, label in enumerate(data.predictions.labels):
        for share in SHARES:
            interval = data.share_of_label(index, data.hits, data.judged(share))
            found[f"{share}[{label}]"] = _of_share(share, interval)
    return found


def _of_share(name: str, interval: Interval | None) -> Interval | None:
    """Return the interval of a metric of SHARES, from that of the share that it depends on."""
    if interval is None or name != "f1":
        return interval
    low, high = (2 * share / (1 + share) for share in interval)
    return low, high


@dataclass(frozen=True, slots=True, eq=False)
class _Resampled:
    """Metrics of 1,000 resamples. values: by name, [R] or [R, L]; gaps: as `LabelSample.gaps`, [R, B]."""

    values: dict[str, Array]
    gaps: Array


def _resampled(data: _Data, requested: Iterable[str], seed: int) -> _Resampled:
    names = [*MEANS, *SHARES, *_ranked_names(data, requested)]
    blocks: dict[str, list[Array]] = {name: [] for name in names}
    gaps, strata = [], np.zeros(len(data.predictions), np.int64)
    gap_sums, pairs = _gap_sums(data), data.sample.known.sum(axis=1).astype(np.float64)
    for weights in resample_weights(strata, RESAMPLES, np.random.default_rng(seed), data.of_image):
        sample = LabelSample(data.predictions, weights)
        for name, values in blocks.items():
            values.append((LABEL_METRICS.get(name) or PER_LABEL[name]).rule(sample))
        gaps.append(ratio(weights.T @ gap_sums, (pairs @ weights)[:, None]))
    return _Resampled({name: np.concatenate(values) for name, values in blocks.items()}, np.concatenate(gaps))


def _gap_sums(data: _Data) -> Array:
    """Return, for each image, the sum of truth minus probability of its pairs in each bin of equal mass, [N, B].

    The bins are those of all images, for every resample. Pairs of equal probability share their mean.
    """
    images, labels = data.sample.pairs
    scores = data.predictions.probabilities[images, labels]
    _, group = np.unique(scores, return_inverse=True)
    truth = np.bincount(group, data.sample.truth[images, labels]) / np.maximum(np.bincount(group), 1)
    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, bins_for(len(images)))
    sums = np.zeros((len(data.predictions), len(bins)))
    for number, members in enumerate(bins):
        np.add.at(sums[:, number], images[members], truth[group[members]] - scores[members])
    return sums


def _ranked_names(data: _Data, requested: Iterable[str]) -> list[str]:
    """Return the ranking metrics to resample: sorting many labels takes longer than predicting the images."""
    if len(data.predictions.labels) <= RANKED_CLASSES:
        return [*RANKED, *RANKED_PER_LABEL]
    names = {name.partition("[")[0] for name in requested}
    ranked = {"map", "ap"} if names & {"map", "ap"} else set()
    ranked |= {"macro_auroc", "auroc"} if names & {"macro_auroc", "auroc"} else set()
    return [name for name in (*RANKED, *RANKED_PER_LABEL) if name in ranked | names]


def _of_resamples(data: _Data, drawn: _Resampled) -> dict[str, Interval | None]:
    """Return the intervals of the metrics that are no shares."""
    found: dict[str, Interval | None] = {}
    support = data.sample.truth.sum(axis=0)
    for name, values in drawn.values.items():
        if name in MEANS or name in RANKED:
            value = float(LABEL_METRICS[name].value(data.predictions))
            of_labels = drawn.values.get(MEAN_OF.get(name, ""))
            positives = None if of_labels is None else _effective_positives(support, of_labels)
            found[name] = _of_spread(data, value, values, name, positives)
        elif name in RANKED_PER_LABEL:
            of_labels = PER_LABEL[name].value(data.predictions)
            for index, label in enumerate(data.predictions.labels):
                value, positives = float(of_labels[index]), int(support[index])
                found[f"{name}[{label}]"] = _of_spread(data, value, values[:, index], name, positives)
    for name, share in MACRO.items():
        found[name] = _of_macro(data, drawn, name, [_Component(share, data.hits, data.judged(share))])
    truth, answered, known = data.sample.truth, data.sample.answered, data.sample.known
    specificity = _Component("specificity", known & ~truth & ~answered, known & ~truth)
    recall = _Component("recall", data.hits, truth)
    found["balanced_accuracy"] = _of_macro(data, drawn, "balanced_accuracy", [recall, specificity])
    found["ece"] = _of_ece(data, drawn)
    return found


def _effective_positives(support: npt.NDArray[np.int64], of_labels: Array) -> int:
    """Return the number of images with a label that a mean over labels is as uncertain with as its labels together.

    support: images with each label, int [L]; of_labels: values of the labels in resamples, [R, L]. The degrees of
    freedom of the sum of the variances are those of Satterthwaite (1946, "An Approximate Distribution of Estimates of
    Variance Components").
    """
    chosen = (support > 1) & np.isfinite(of_labels).any(axis=0)
    variances = np.nanvar(of_labels[:, chosen], axis=0)
    if not variances.sum():
        return int(support.sum())
    return 1 + round(float(variances.sum() ** 2 / (variances**2 / (support[chosen] - 1)).sum()))


def _of_spread(data: _Data, value: float, drawn: Array, name: str, positives: int | None = None) -> Interval | None:
    """Return a normal interval of a metric on the scale of its bounds; None if it is not defined or at a bound.

    positives: number of images with the label; with few of them the interval is wider, as with few clusters
    """
    bounds = (LABEL_METRICS.get(name) or PER_LABEL[name]).bounds
    known = drawn[np.isfinite(drawn)]
    if len(known) == 0 or np.ptp(known) < 1e-12 or not bounds.low < value < bounds.high:
        return None
    if data.of_image is None and name in (*RANKED, *RANKED_PER_LABEL):
        # Resamples without a mistake have infinite log odds; they count as having half of the least mistake.
        least = 0.5 / (data.predictions.targets.size if name in RANKED else len(data.predictions))
        return log_odds_interval(value, np.clip(known, least, 1 - least), normal_quantile(CONFIDENCE, positives))
    return bounded_interval(value, float(known.std()), bounds.low, bounds.high, data.quantile)


@dataclass(frozen=True, slots=True, eq=False)
class _Component:
    """A share of each label, of which a mean over labels is made. hits, judged: bool [N, L]"""

    name: str
    hits: Bools
    judged: Bools


def _of_macro(data: _Data, drawn: _Resampled, name: str, components: list[_Component]) -> Interval | None:
    """Return the interval of a mean over the labels that an image has, from those of its components.

    The squared distances of the components' ends from their values add up, as variances of independent values do. They
    are multiplied by as much as the bootstrap finds the variance of the mean larger than that sum, as the labels of an
    image depend on each other.
    """
    present = np.flatnonzero(np.any(data.sample.truth, axis=0))
    if not len(present):
        return None
    below = above = 0.0
    for index in present:
        sides = [part for part in components if part.judged[:, index].any()]
        if not sides:
            return None  # the precision of a label that is never answered is 0 by convention, and known to no degree
        for part in sides:
            interval = _of_share(part.name, data.share_of_label(int(index), part.hits, part.judged))
            assert interval is not None
            share = part.hits[:, index].sum() / part.judged[:, index].sum()
            value = 2 * share / (1 + share) if part.name == "f1" else share
            below += ((value - interval[0]) / len(sides)) ** 2
            above += ((interval[1] - value) / len(sides)) ** 2
    value = float(LABEL_METRICS[name].value(data.predictions))
    factor = math.sqrt(_dependence(drawn, name, present)) / len(present)
    return max(0.0, value - factor * math.sqrt(below)), min(1.0, value + factor * math.sqrt(above))


def _dependence(drawn: _Resampled, name: str, present: npt.NDArray[np.intp]) -> float:
    """Return the variance of a mean over labels, by that of as many independent ones with the same variances."""
    of_labels = drawn.values[MACRO.get(name, "recall")][:, present]
    total = float(np.nanvar(of_labels, axis=0).sum()) / len(present) ** 2
    together = float(np.nanvar(mean_of_defined(of_labels))) if total else 0.0
    return max(1.0, together / total) if total else 1.0


def _of_ece(data: _Data, drawn: _Resampled) -> Interval | None:
    if not data.sample.known.any():
        return None
    confidence = 2 * NormalDist().cdf(data.quantile) - 1
    gaps = drawn.gaps[np.isfinite(drawn.gaps).all(axis=1)]  # resamples without a known pair have none
    return gap_sum_interval(data.sample.gaps[0], gaps, confidence, data.quantile)
