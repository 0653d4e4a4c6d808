"""The table of metrics. To add one, add a row: `evaluate`, gates, the config schema, the report and the tests follow.

Every row agrees with scikit-learn (the tests check it to 1e-9), but is computed here, with NumPy alone, because 1,000
resamples have to be vectorised and a class without images must raise no warning. An undefined value is NaN, `null` in
JSON.

Macro averages are over the classes that have images in the split (scikit-learn's `labels=` of those), because a class
without images has no recall and no F1. An image predicted as such a class still lowers the recall of its own class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics import confusion
from transfercli.evaluation.metrics.confusion import Array, Counts, Targets, macro, ratio
from transfercli.evaluation.metrics.ranking import mean_of_defined
from transfercli.evaluation.metrics.weighted import Sample


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range of a metric's values, both ends included."""

    low: float = 0.0
    high: float = 1.0

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low:g} to {self.high:g}" if math.isfinite(self.high) else f"of at least {self.low:g}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the table.

    doc: the meaning; reference: the source of the definition; rule: returns [R] for a Sample of R weightings
    """

    name: str
    doc: str
    reference: str
    rule: Callable[[Sample], Array]
    higher_is_better: bool = True
    bounds: Bounds = Bounds()

    @property
    def of_counts(self) -> bool:
        """True if the metric depends on the counts of right and wrong predictions only, not on probabilities."""
        return isinstance(self.rule, _CountRule)

    def function(self, targets: Targets, probabilities: Array, answers: Targets | None = None) -> float:
        """Return the value for targets int [N] and probabilities float64 [N, C]; NaN if it is not defined.

        answers: as of `Sample`
        """
        return float(self.rule(Sample.unweighted(targets, probabilities, answers))[0])


@dataclass(frozen=True, slots=True)
class _CountRule:
    rule: Callable[[Counts], Array]

    def __call__(self, sample: Sample) -> Array:
        return self.rule(sample.counts)


def from_counts(rule: Callable[[Counts], Array]) -> Callable[[Sample], Array]:
    """Return the rule of a metric that depends on counts only: `rule` takes Counts with arrays [R, C], returns [R]."""
    return _CountRule(rule)


def mean_of_images(rule: Callable[[Targets, Array], Array]) -> Callable[[Sample], Array]:
    """Return the rule of a mean over images: `rule` takes targets and probabilities, returns [N]."""
    return lambda sample: sample.mean(rule(sample.targets, sample.probabilities))


def value_of(name: str, targets: Targets, probabilities: Array, answers: Targets | None = None) -> float | None:
    """Return the metric's value as a Python float, or None if it is not defined. answers: as of `Sample`"""
    value = METRICS[name].function(targets, probabilities, answers)
    return value if math.isfinite(value) else None


def _accuracy(counts: Counts) -> Array:
    return ratio(counts.right.sum(axis=-1), counts.support.sum(axis=-1))


def _weighted_f1(counts: Counts) -> Array:
    scores = np.where(counts.support > 0, confusion.f1(counts), 0.0)
    return ratio((scores * counts.support).sum(axis=-1), counts.support.sum(axis=-1))


def _macro_f1(counts: Counts) -> Array:
    return macro(confusion.f1(counts), counts)


def _macro_precision(counts: Counts) -> Array:
    return macro(confusion.precision(counts), counts)


def _macro_recall(counts: Counts) -> Array:
    return macro(confusion.recall(counts), counts)


def _cohen_kappa(counts: Counts) -> Array:
    total = counts.support.sum(axis=-1)
    chance = ratio((counts.predicted * counts.support).sum(axis=-1), total**2)
    return ratio(_accuracy(counts) - chance, 1 - chance)


def _steps_away(targets: Targets, probabilities: Array) -> Array:
    return np.abs(probabilities.argmax(axis=1) - targets).astype(np.float64)


def _quadratic_kappa(sample: Sample) -> Array:
    """Return 1 - the mean squared distance / that of independent draws with the same frequencies of classes."""
    truth, predicted = sample.targets.astype(np.float64), sample.predicted.astype(np.float64)
    by_chance = sample.mean(truth**2) + sample.mean(predicted**2) - 2 * sample.mean(truth) * sample.mean(predicted)
    return 1 - ratio(sample.mean((truth - predicted) ** 2), by_chance)


def _mcc(counts: Counts) -> Array:
    total = counts.support.sum(axis=-1)
    covariance = counts.right.sum(axis=-1) * total - (counts.predicted * counts.support).sum(axis=-1)
    spread = (total**2 - (counts.predicted**2).sum(axis=-1)) * (total**2 - (counts.support**2).sum(axis=-1))
    return ratio(covariance, np.sqrt(spread), 0.0)


def top5_hits(targets: Targets, probabilities: Array) -> npt.NDArray[np.bool_]:
    """Return bool [N], True if the true class is among the five most probable."""
    rows = np.arange(len(targets))
    truth = probabilities[rows, targets][:, None]
    earlier = np.arange(probabilities.shape[1]) < targets[:, None]
    rank = ((probabilities > truth) | ((probabilities == truth) & earlier)).sum(axis=1)
    hits: npt.NDArray[np.bool_] = rank < 5
    return hits


def _top5(targets: Targets, probabilities: Array) -> Array:
    return top5_hits(targets, probabilities).astype(np.float64)


def log_losses(targets: Targets, probabilities: Array) -> Array:
    """Return the log loss of each image, float64 [N]."""
    tiny = np.finfo(np.float64).eps
    return -np.log(np.clip(probabilities[np.arange(len(targets)), targets], tiny, 1 - tiny))


def _brier(targets: Targets, probabilities: Array) -> Array:
    classes = probabilities.shape[1]
    # |p - y|^2 = |p|^2 - 2 p_truth + 1 avoids a second array of the size of the probabilities.
    squares = np.einsum("nc,nc->n", probabilities, probabilities)
    distance = np.maximum(squares - 2 * probabilities[np.arange(len(targets)), targets] + 1, 0.0)
    return distance / 2 if classes == 2 else distance


def _roc_auc(sample: Sample) -> Array:
    # With two classes only the second is used, as in scikit-learn: both have the same area.
    areas = sample.ranking.roc_auc
    return mean_of_defined(areas[:, 1:] if areas.shape[1] == 2 else areas)


def _average_precision(sample: Sample) -> Array:
    return mean_of_defined(sample.ranking.average_precision)


def _ece(sample: Sample) -> Array:
    error: Array = np.abs(sample.gaps).sum(axis=1)
    return error


METRICS: dict[str, Metric] = {
    row.name: row
    for row in (
        Metric(
            "accuracy",
            "fraction of images whose most probable class is the true one",
            "scikit-learn accuracy_score",
            from_counts(_accuracy),
        ),
        Metric(
            "top5_accuracy",
            "fraction whose true class is among the five most probable (1 with five classes or fewer)",
            "scikit-learn top_k_accuracy_score",
            mean_of_images(_top5),
        ),
        Metric(
            "balanced_accuracy",
            "mean recall of the classes in the split",
            "scikit-learn balanced_accuracy_score",
            from_counts(_macro_recall),
        ),
        Metric(
            "macro_f1",
            "mean F1 of the classes in the split",
            "scikit-learn f1_score, average macro",
            from_counts(_macro_f1),
        ),
        Metric(
            "weighted_f1",
            "mean F1 of the classes, weighted by their images",
            "scikit-learn f1_score, average weighted",
            from_counts(_weighted_f1),
        ),
        Metric(
            "macro_precision",
            "mean precision of the classes in the split; 0 for a class never predicted",
            "scikit-learn precision_score, average macro",
            from_counts(_macro_precision),
        ),
        Metric(
            "macro_recall",
            "mean recall of the classes in the split",
            "scikit-learn recall_score, average macro",
            from_counts(_macro_recall),
        ),
        Metric(
            "log_loss",
            "mean negative natural logarithm of the true class's probability",
            "scikit-learn log_loss",
            mean_of_images(log_losses),
            higher_is_better=False,
            bounds=Bounds(high=math.inf),
        ),
        Metric(
            "brier",
            "mean squared distance of the probabilities from the truth, 0 to 2; halved for two classes",
            "Brier 1950; scikit-learn brier_score_loss",
            mean_of_images(_brier),
            higher_is_better=False,
            bounds=Bounds(high=2.0),
        ),
        Metric(
            "roc_auc",
            "area under the ROC curve, each class against the rest, mean of the classes that have it",
            "scikit-learn roc_auc_score, ovr, average macro",
            _roc_auc,
        ),
        Metric(
            "average_precision",
            "area under the precision-recall curve, each class against the rest, mean",
            "scikit-learn average_precision_score, average macro",
            _average_precision,
        ),
        Metric(
            "cohen_kappa",
            "agreement beyond chance",
            "Cohen 1960; scikit-learn cohen_kappa_score",
            from_counts(_cohen_kappa),
            bounds=Bounds(low=-1.0),
        ),
        Metric(
            "mae",
            "mean distance of the most probable class from the true one, in steps of the classes' order; for a scale",
            "scikit-learn mean_absolute_error of class indices",
            mean_of_images(_steps_away),
            higher_is_better=False,
            bounds=Bounds(high=math.inf),
        ),
        Metric(
            "quadratic_kappa",
            "agreement of prediction and truth beyond chance, by squared steps of the classes' order; for a scale",
            "Cohen 1968; scikit-learn cohen_kappa_score(weights='quadratic')",
            _quadratic_kappa,
            bounds=Bounds(low=-1.0),
        ),
        Metric(
            "mcc",
            "Matthews correlation of truth and prediction; 0 if either has a single class",
            "Gorodkin 2004; scikit-learn matthews_corrcoef",
            from_counts(_mcc),
            bounds=Bounds(low=-1.0),
        ),
        Metric(
            "ece",
            "mean gap between confidence and accuracy in bins of equal mass, more bins for more images",
            "Guo et al. 2017; Nixon et al. 2019",
            _ece,
            higher_is_better=False,
        ),
    )
}
