"""The table of metrics. To add one, add a row: `evaluate`, gates, the config schema, the report and the tests follow.

Every row agrees with scikit-learn (the tests hold it to 1e-9) but is computed here, with NumPy alone: a thousand
resamples have to be vectorised, and a class without images must not warn. Where no value is defined, the value is NaN,
`null` in JSON.

Macro averages run over the classes that have images in the split (scikit-learn's `labels=` of those): a class that the
split does not hold has no recall and no F1 to average. An image mistaken for such a class still costs its own class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transfercli.evaluation import counts as per_class
from transfercli.evaluation.calibration import expected_calibration_error
from transfercli.evaluation.counts import Array, Counts, Targets, count, macro, ratio
from transfercli.evaluation.ranking import average_precision, roc_auc
from transfercli.evaluation.resampling import resampled_counts, resampled_means, resampled_weights


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a metric's values lie, both ends included."""

    low: float = 0.0
    high: float = 1.0

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low:g} to {self.high:g}" if math.isfinite(self.high) else f"of at least {self.low:g}"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. A subclass says what its `rule` takes, which also says how it is resampled quickly."""

    name: str
    doc: str
    reference: str
    rule: Callable[..., Array]
    higher_is_better: bool = True
    bounds: Bounds = Bounds()

    def function(self, targets: Targets, probabilities: Array) -> float:
        """The value for targets int [N] and probabilities float64 [N, C]; NaN where it is not defined."""
        raise TypeError(f"{type(self).__name__} is not a kind of metric")

    def resamples(self, targets: Targets, probabilities: Array, number: int, rng: np.random.Generator) -> Array:
        """float64 [number]: the values for as many stratified resamples."""
        raise TypeError(f"{type(self).__name__} is not a kind of metric")


class OfCounts(Metric):
    """`rule` takes Counts with arrays [..., C] and gives [...]."""

    def function(self, targets: Targets, probabilities: Array) -> float:
        return float(self.rule(count(targets, probabilities.argmax(axis=1), probabilities.shape[1])))

    def resamples(self, targets: Targets, probabilities: Array, number: int, rng: np.random.Generator) -> Array:
        return self.rule(resampled_counts(targets, probabilities.argmax(axis=1), probabilities.shape[1], number, rng))


class OfImages(Metric):
    """`rule` takes targets and probabilities and gives [N], one value an image; the metric is their mean."""

    def function(self, targets: Targets, probabilities: Array) -> float:
        return float(self.rule(targets, probabilities).mean())

    def resamples(self, targets: Targets, probabilities: Array, number: int, rng: np.random.Generator) -> Array:
        return resampled_means(targets, self.rule(targets, probabilities), number, rng)


class OfWeights(Metric):
    """`rule` takes targets, probabilities and weights [R, N] (how often an image counts) and gives [R]."""

    def function(self, targets: Targets, probabilities: Array) -> float:
        return float(self.rule(targets, probabilities, np.ones((1, len(targets))))[0])

    def resamples(self, targets: Targets, probabilities: Array, number: int, rng: np.random.Generator) -> Array:
        drawn = resampled_weights(targets, number, rng)
        return np.concatenate([self.rule(targets, probabilities, weights) for weights in drawn])


def value_of(name: str, targets: Targets, probabilities: Array) -> float | None:
    """The metric's value as a plain number, or None where it is not defined."""
    value = METRICS[name].function(targets, probabilities)
    return value if math.isfinite(value) else None


def _accuracy(counts: Counts) -> Array:
    return ratio(counts.right.sum(axis=-1), counts.support.sum(axis=-1))


def _weighted_f1(counts: Counts) -> Array:
    scores = np.where(counts.support > 0, per_class.f1(counts), 0.0)
    return ratio((scores * counts.support).sum(axis=-1), counts.support.sum(axis=-1))


def _macro_f1(counts: Counts) -> Array:
    return macro(per_class.f1(counts), counts)


def _macro_precision(counts: Counts) -> Array:
    return macro(per_class.precision(counts), counts)


def _macro_recall(counts: Counts) -> Array:
    return macro(per_class.recall(counts), counts)


def _cohen_kappa(counts: Counts) -> Array:
    total = counts.support.sum(axis=-1)
    chance = ratio((counts.predicted * counts.support).sum(axis=-1), total**2)
    return ratio(_accuracy(counts) - chance, 1 - chance)


def _mcc(counts: Counts) -> Array:
    total = counts.support.sum(axis=-1)
    covariance = counts.right.sum(axis=-1) * total - (counts.predicted * counts.support).sum(axis=-1)
    spread = (total**2 - (counts.predicted**2).sum(axis=-1)) * (total**2 - (counts.support**2).sum(axis=-1))
    return ratio(covariance, np.sqrt(spread), 0.0)


def _top5(targets: Targets, probabilities: Array) -> Array:
    rows = np.arange(len(targets))
    mine = probabilities[rows, targets][:, None]
    earlier = np.arange(probabilities.shape[1]) < targets[:, None]
    rank = ((probabilities > mine) | ((probabilities == mine) & earlier)).sum(axis=1)
    return (rank < 5).astype(np.float64)


def _log_loss(targets: Targets, probabilities: Array) -> Array:
    tiny = np.finfo(np.float64).eps
    return -np.log(np.clip(probabilities[np.arange(len(targets)), targets], tiny, 1 - tiny))


def _brier(targets: Targets, probabilities: Array) -> Array:
    classes = probabilities.shape[1]
    # |p - y|^2 = |p|^2 - 2 p_truth + 1 needs no second array of the size of the probabilities.
    squares = np.einsum("nc,nc->n", probabilities, probabilities)
    distance = np.maximum(squares - 2 * probabilities[np.arange(len(targets)), targets] + 1, 0.0)
    return distance / 2 if classes == 2 else distance


METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        OfCounts(
            "accuracy",
            "fraction of images whose most probable class is the true one",
            "scikit-learn accuracy_score",
            _accuracy,
        ),
        OfImages(
            "top5_accuracy",
            "fraction whose true class is among the five most probable (1 with five classes or fewer)",
            "scikit-learn top_k_accuracy_score",
            _top5,
        ),
        OfCounts(
            "balanced_accuracy",
            "mean recall of the classes in the split",
            "scikit-learn balanced_accuracy_score",
            _macro_recall,
        ),
        OfCounts(
            "macro_f1",
            "mean F1 of the classes in the split",
            "scikit-learn f1_score, average macro",
            _macro_f1,
        ),
        OfCounts(
            "weighted_f1",
            "mean F1 of the classes, weighted by their images",
            "scikit-learn f1_score, average weighted",
            _weighted_f1,
        ),
        OfCounts(
            "macro_precision",
            "mean precision of the classes in the split; 0 for one never predicted",
            "scikit-learn precision_score, average macro",
            _macro_precision,
        ),
        OfCounts(
            "macro_recall",
            "mean recall of the classes in the split",
            "scikit-learn recall_score, average macro",
            _macro_recall,
        ),
        OfImages(
            "log_loss",
            "mean negative natural logarithm of the true class's probability",
            "scikit-learn log_loss",
            _log_loss,
            higher_is_better=False,
            bounds=Bounds(high=math.inf),
        ),
        OfImages(
            "brier",
            "mean squared distance of the probabilities from the truth, 0 to 2; halved for two classes",
            "Brier 1950; scikit-learn brier_score_loss",
            _brier,
            higher_is_better=False,
            bounds=Bounds(high=2.0),
        ),
        OfWeights(
            "roc_auc",
            "area under the ROC curve, each class against the rest, mean of the classes on both sides",
            "scikit-learn roc_auc_score, ovr, average macro",
            roc_auc,
        ),
        OfWeights(
            "average_precision",
            "area under the precision-recall curve, each class against the rest, mean",
            "scikit-learn average_precision_score, average macro",
            average_precision,
        ),
        OfCounts(
            "cohen_kappa",
            "agreement beyond chance",
            "Cohen 1960; scikit-learn cohen_kappa_score",
            _cohen_kappa,
            bounds=Bounds(low=-1.0),
        ),
        OfCounts(
            "mcc",
            "Matthews correlation of truth and prediction; 0 where either is a single class",
            "Gorodkin 2004; scikit-learn matthews_corrcoef",
            _mcc,
            bounds=Bounds(low=-1.0),
        ),
        OfWeights(
            "ece",
            "mean gap between confidence and accuracy, 15 bins of equal mass",
            "Guo et al. 2017; Nixon et al. 2019",
            expected_calibration_error,
            higher_is_better=False,
        ),
    )
}
