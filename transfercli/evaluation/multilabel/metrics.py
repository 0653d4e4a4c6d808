"""The tables of metrics for images with any number of labels: of the whole split, and of each label.

Every row agrees with scikit-learn, but is computed for many weightings of the images at once, as the rows of
`evaluation/metrics/registry.py` are. Only known labels count: an image whose target for a label is unknown takes no
part in the metrics of that label. An undefined value is NaN, `null` in JSON.

Macro averages are over the labels that at least one image has. A label that no image has enters the metrics over
(image, label) pairs, such as `micro_f1` and `hamming_loss`, alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics import confusion
from transfercli.evaluation.metrics.calibration import bin_gaps
from transfercli.evaluation.metrics.confusion import Array, Counts, ratio
from transfercli.evaluation.metrics.ranking import RankingAreas, class_ranking_areas, mean_of_defined
from transfercli.evaluation.metrics.registry import Bounds
from transfercli.evaluation.multilabel.predictions import LabelPredictions

Bools = npt.NDArray[np.bool_]
SHARE = Bounds()


@dataclass(eq=False)
class LabelSample:
    """Predictions of N images for L labels with R columns of weights.

    predictions: of N images
    weights: float64 [N, R], how often each image counts: whole numbers
    answers: bool [N, L], the answered labels if the images are of several models with thresholds of their own; None
        for those that the thresholds of `predictions` choose
    """

    predictions: LabelPredictions
    weights: Array
    answers: Bools | None = None

    @classmethod
    def unweighted(cls, predictions: LabelPredictions) -> LabelSample:
        """Return a sample in which every image counts once."""
        return cls(predictions, np.ones((len(predictions), 1)))

    @cached_property
    def known(self) -> Bools:
        """bool [N, L], True if the target is known."""
        return self.predictions.known

    @cached_property
    def truth(self) -> Bools:
        """bool [N, L], True if the image has the label."""
        return self.predictions.targets == 1

    @cached_property
    def answered(self) -> Bools:
        """bool [N, L], True if the target is known and the label is answered."""
        return self.known & (self.predictions.answered if self.answers is None else self.answers)

    @cached_property
    def right(self) -> Bools:
        """bool [N, L], True if the target is known and the answer agrees with it."""
        return self.known & (self.truth == self.answered)

    @cached_property
    def counts(self) -> Counts:
        """Counts of each label: arrays [R, L]."""
        hits = self.truth & self.answered
        return Counts(*(self.sums(chosen) for chosen in (hits, self.answered, self.truth)))

    @cached_property
    def negatives(self) -> Array:
        """Number of images without each label, [R, L]."""
        return self.sums(self.known) - self.counts.support

    @cached_property
    def totals(self) -> Counts:
        """Counts over all labels: arrays [R]."""
        counts = self.counts
        return Counts(*(values.sum(axis=-1) for values in (counts.right, counts.predicted, counts.support)))

    @cached_property
    def pairs(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The image and the label of each pair whose target is known, int64 [P]."""
        images, labels = np.nonzero(self.known)
        return images, labels

    @cached_property
    def ranking(self) -> RankingAreas:
        """Ranking metrics of each label: arrays [R, L]."""
        areas = [self._ranking_of(label) for label in range(len(self.predictions.labels))]
        return RankingAreas(*(np.stack(columns, axis=1) for columns in zip(*areas, strict=True)))

    def _ranking_of(self, label: int) -> tuple[Array, Array]:
        known = self.known[:, label]
        if not self.truth[:, label].any():
            undefined = np.full(self.weights.shape[1], np.nan)
            return undefined, undefined
        weights = self.weights if known.all() else self.weights[known]
        return class_ranking_areas(self.truth[known, label], self.predictions.probabilities[known, label], weights)

    @cached_property
    def gaps(self) -> Array:
        """Calibration gaps of bins of equal mass of pairs, each times its share of the pairs: [R, B]."""
        images, labels = self.pairs
        scores, truth = self.predictions.probabilities[images, labels], self.truth[images, labels]
        return bin_gaps(scores, truth, self.weights[images], len(images))

    def sums(self, values: npt.NDArray[Any]) -> Array:
        """Return the weighted sums over the images of values [N, ...], [R, ...]."""
        sums: Array = self.weights.T @ values.astype(np.float64)
        return sums

    def mean_of_pairs(self, values: npt.NDArray[Any]) -> Array:
        """Return the weighted mean of values [N, L] over the pairs whose targets are known, [R]."""
        images = np.where(self.known, values, 0.0).sum(axis=1)
        return ratio(self.sums(images), self.sums(self.known.sum(axis=1)))

    def mean_of_images(self, values: npt.NDArray[Any]) -> Array:
        """Return the weighted mean of values [N] over the images with a known target, [R]."""
        judged = np.any(self.known, axis=1)
        return ratio(self.sums(np.where(judged, values, 0.0)), self.sums(judged))


@dataclass(frozen=True, slots=True)
class LabelMetric:
    """A row of a table.

    doc: the meaning; reference: the source of the definition; rule: returns, for a LabelSample of R weightings, [R] in
    LABEL_METRICS and [R, L] in PER_LABEL
    """

    name: str
    doc: str
    reference: str
    rule: Callable[[LabelSample], Array]
    higher_is_better: bool = True
    bounds: Bounds = SHARE

    def value(self, predictions: LabelPredictions) -> Array:
        """Return the value of the predictions, float64 []; [L] in PER_LABEL. It is NaN if it is not defined."""
        value: Array = self.rule(LabelSample.unweighted(predictions))[0]
        return value


def _of_labels(rule: Callable[[Counts], Array]) -> Callable[[LabelSample], Array]:
    return lambda sample: rule(sample.counts)


def _over_pairs(rule: Callable[[Counts], Array]) -> Callable[[LabelSample], Array]:
    return lambda sample: rule(sample.totals)


def _macro(rule: Callable[[Counts], Array]) -> Callable[[LabelSample], Array]:
    return lambda sample: confusion.macro(rule(sample.counts), sample.counts)


def _micro_ap(sample: LabelSample) -> Array:
    """Return the average precision of all pairs, [R].

    Pairs are counted by image between neighbouring scores of positives. These counts times the weights of the images
    are the weights at each score, so no array has a row for each pair and a column for each resample.
    """
    from scipy.sparse import csr_array

    images, labels = sample.pairs
    scores, truth = sample.predictions.probabilities[images, labels], sample.truth[images, labels]
    if not truth.any():
        return np.full(sample.weights.shape[1], np.nan)
    cuts = np.unique(scores[truth])
    place = np.searchsorted(cuts, scores, "right") - 1  # -1 for pairs below every positive, which do not matter

    def weight_at(chosen: Bools) -> Array:
        ones = np.ones(int(chosen.sum()))
        counts = csr_array((ones, (place[chosen], images[chosen])), shape=(len(cuts), len(sample.predictions)))
        weights: Array = counts @ sample.weights
        return weights

    hits = weight_at(truth)
    hits_above, above = (np.cumsum(values[::-1], axis=0)[::-1] for values in (hits, weight_at(place >= 0)))
    return ratio((hits * ratio(hits_above, above, 0.0)).sum(axis=0), hits_above[0])


def balanced_accuracy(sample: LabelSample) -> Array:
    """Return the mean of recall and specificity of each label, [R, L]; recall alone without negatives."""
    counts, negatives = sample.counts, sample.negatives
    specificity = ratio(negatives - (counts.predicted - counts.right), negatives)
    recall = confusion.recall(counts)
    return np.where(np.isnan(specificity), recall, np.where(np.isnan(recall), np.nan, (recall + specificity) / 2))


def _subset_accuracy(sample: LabelSample) -> Array:
    return sample.mean_of_images(np.all(sample.right | ~sample.known, axis=1))


def _coverage(sample: LabelSample) -> Array:
    scores = sample.predictions.probabilities
    least = np.where(sample.truth, scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    return sample.mean_of_images(((scores >= least) & sample.known).sum(axis=1))


def log_losses(predictions: LabelPredictions) -> Array:
    """Return the binary log loss of each pair in nats, float64 [N, L]."""
    tiny = np.finfo(np.float64).eps
    of_truth = np.where(predictions.targets == 1, predictions.probabilities, 1 - predictions.probabilities)
    return -np.log(np.clip(of_truth, tiny, 1 - tiny))


def _brier(sample: LabelSample) -> Array:
    return sample.mean_of_pairs((sample.predictions.probabilities - sample.truth) ** 2)


def _ece(sample: LabelSample) -> Array:
    if not sample.known.any():
        return np.full(sample.weights.shape[1], np.nan)
    error: Array = np.abs(sample.gaps).sum(axis=1)
    return error


LABEL_METRICS: dict[str, LabelMetric] = {
    row.name: row
    for row in (
        LabelMetric(
            "map",
            "mean average precision of the labels that an image has",
            "scikit-learn average_precision_score, average macro",
            lambda sample: mean_of_defined(sample.ranking.average_precision),
        ),
        LabelMetric(
            "micro_ap",
            "average precision of all (image, label) pairs, ranked together",
            "scikit-learn average_precision_score, average micro",
            _micro_ap,
        ),
        LabelMetric(
            "macro_auroc",
            "mean area under the ROC curve of the labels that some images have and others have not",
            "scikit-learn roc_auc_score, average macro",
            lambda sample: mean_of_defined(sample.ranking.roc_auc),
        ),
        LabelMetric(
            "micro_f1",
            "F1 of all pairs",
            "scikit-learn f1_score, average micro",
            _over_pairs(confusion.f1),
        ),
        LabelMetric(
            "macro_f1",
            "mean F1 of the labels that an image has",
            "scikit-learn f1_score, average macro",
            _macro(confusion.f1),
        ),
        LabelMetric(
            "micro_precision",
            "share of the answered labels that are right",
            "scikit-learn precision_score, average micro",
            _over_pairs(confusion.precision),
        ),
        LabelMetric(
            "macro_precision",
            "mean precision of the labels that an image has; 0 for a label never answered",
            "scikit-learn precision_score, average macro",
            _macro(confusion.precision),
        ),
        LabelMetric(
            "micro_recall",
            "share of the images' labels that are answered",
            "scikit-learn recall_score, average micro",
            _over_pairs(confusion.recall),
        ),
        LabelMetric(
            "macro_recall",
            "mean recall of the labels that an image has",
            "scikit-learn recall_score, average macro",
            _macro(confusion.recall),
        ),
        LabelMetric(
            "subset_accuracy",
            "fraction of images whose known labels are all right",
            "scikit-learn accuracy_score",
            _subset_accuracy,
        ),
        LabelMetric(
            "hamming_loss",
            "fraction of pairs that are wrong",
            "scikit-learn hamming_loss",
            lambda sample: sample.mean_of_pairs(~sample.right),
            higher_is_better=False,
        ),
        LabelMetric(
            "accuracy",
            "fraction of pairs that are right: 1 - hamming_loss",
            "scikit-learn accuracy_score of the pairs",
            lambda sample: sample.mean_of_pairs(sample.right),
        ),
        LabelMetric(
            "balanced_accuracy",
            "mean of recall and specificity of the labels that an image has",
            "scikit-learn balanced_accuracy_score, mean of the labels",
            lambda sample: mean_of_defined(balanced_accuracy(sample)),
        ),
        LabelMetric(
            "coverage",
            "mean number of most probable labels that hold all labels of an image; 0 for an image without labels",
            "scikit-learn coverage_error",
            _coverage,
            higher_is_better=False,
            bounds=Bounds(high=math.inf),
        ),
        LabelMetric(
            "log_loss",
            "mean negative natural logarithm of the probability of the truth of each pair",
            "scikit-learn log_loss of the pairs",
            lambda sample: sample.mean_of_pairs(log_losses(sample.predictions)),
            higher_is_better=False,
            bounds=Bounds(high=math.inf),
        ),
        LabelMetric(
            "brier",
            "mean squared distance of the probability of each pair from the truth",
            "Brier 1950; scikit-learn brier_score_loss of the pairs",
            _brier,
            higher_is_better=False,
        ),
        LabelMetric(
            "ece",
            "mean gap between the probability of pairs and the share that have the label, in bins of equal mass",
            "Guo et al. 2017; Nixon et al. 2019",
            _ece,
            higher_is_better=False,
        ),
    )
}

# Metrics of one label, by their names in a row of `per_class` and in a gate (`ap[dog]`).
PER_LABEL: dict[str, LabelMetric] = {
    row.name: row
    for row in (
        LabelMetric(
            "precision",
            "share of the answers with the label that are right; 0 for a label of images that is never answered",
            "scikit-learn precision_score",
            _of_labels(confusion.precision),
        ),
        LabelMetric(
            "recall",
            "share of the images with the label that get it",
            "scikit-learn recall_score",
            _of_labels(confusion.recall),
        ),
        LabelMetric("f1", "harmonic mean of both", "scikit-learn f1_score", _of_labels(confusion.f1)),
        LabelMetric(
            "ap",
            "average precision: area under the precision-recall curve",
            "scikit-learn average_precision_score",
            lambda sample: sample.ranking.average_precision,
        ),
        LabelMetric(
            "auroc",
            "area under the ROC curve",
            "scikit-learn roc_auc_score",
            lambda sample: sample.ranking.roc_auc,
        ),
    )
}
