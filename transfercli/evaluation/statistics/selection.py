"""Score of the best of many models, corrected for its choice; models not distinguishable from the best.

The best of many models on some images looks better there than it is: among equally good models, the luckiest wins. The
correction is bootstrap bias-corrected cross-validation (Tsamardinos, Greasidou & Borboudakis 2018, "Bootstrapping the
out-of-sample predictions for efficient and accurate cross-validation"): the choice is repeated on resamples of the
images, and each choice is scored by the images that its resample lacks. It needs the models' answers and no training.

Here the answers of all resamples are pooled before the metric is computed, instead of averaging the metric over
resamples: a resample of few images may lack a class, and F1 of few images is lower than that of many. benchmarks/
RESULTS.md compares this with other corrections.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from transfercli.config.types import VAL_LOSS as LOSS
from transfercli.evaluation.metrics import confusion
from transfercli.evaluation.metrics.confusion import Array, Counts, Targets, macro
from transfercli.evaluation.metrics.registry import Bounds
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.design_effect import FEW_GROUPS, normal_quantile
from transfercli.evaluation.statistics.intervals import CONFIDENCE, wilson
from transfercli.evaluation.statistics.skewed_intervals import Interval, bounded_interval

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST_LOSS = -np.log(np.finfo("float64").tiny)  # of one image, as in an epoch's validation loss
# Scores that differ by less are equal: sums of the same numbers in another order.
TOLERANCE = 1e-10
# Numbers in one block of resampled counts: 32 MB.
BLOCK_NUMBERS = 4_000_000
# The images that a resample of N images lacks are 1/e of them. Their mean varies, for given images, as
# (1 - 1/e) / (1/e) = e - 1 times the variance of the mean of all N does.
SPREAD_OF_ALL = 1 / np.sqrt(np.e - 1)


class Scored(Protocol):
    """Answers of T models to the same N images, of any task, that `select` chooses by."""

    @property
    def images(self) -> int: ...
    @property
    def models(self) -> int: ...
    @property
    def clusters(self) -> int | None: ...
    @property
    def of_image(self) -> Targets | None: ...

    def scores(self, metric: str, weights: Array) -> Array:
        """Return a metric of each model, float64 [R, T], with each column of weights, float64 [N, R]."""

    def pooled_score(self, metric: str, shares: Array) -> float:
        """Return the metric of a mixture of models: `shares`, float64 [N, T], of each image's answer sum to 1."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of T models to the same N images.

    targets: int64 [N]; predicted: int [N, T], the most probable class; losses: float64 [N, T], log loss in nats;
    classes: number of classes; of_image: int64 [N], the cluster of each image, or None if all are independent
    """

    targets: Targets
    predicted: npt.NDArray[np.integer]
    losses: Array
    classes: int
    of_image: Targets | None = None

    @property
    def images(self) -> int:
        return len(self.targets)

    @property
    def models(self) -> int:
        return self.predicted.shape[1]

    @property
    def clusters(self) -> int | None:
        """Number of clusters; None if all images are independent."""
        return None if self.of_image is None else int(self.of_image.max()) + 1

    @cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """bool [N, T], True if the prediction is the true class."""
        return np.asarray(self.predicted == self.targets[:, None])

    def of(self, models: npt.NDArray[np.integer]) -> Answers:
        """Return the answers of some of the models."""
        return Answers(self.targets, self.predicted[:, models], self.losses[:, models], self.classes, self.of_image)

    def scores(self, metric: str, weights: Array) -> Array:
        """Return a metric of each model, float64 [R, T], with each column of weights, float64 [N, R].

        metric: a `SelectionMetric` of the config.
        """
        total = weights.sum(axis=0)[:, None]
        if metric == LOSS:
            return np.asarray(weights.T @ self.losses / total)
        if metric == "val_accuracy":
            return np.asarray(weights.T @ self.right / total)
        blocks = []
        size = max(1, BLOCK_NUMBERS // (self.models * self.classes))
        for start in range(0, weights.shape[1], size):
            block = np.ascontiguousarray(weights[:, start : start + size])
            blocks.append(self._macro(metric, self._counts(block, predicted=metric == "val_macro_f1")))
        return np.concatenate(blocks)

    def _counts(self, weights: Array, predicted: bool) -> Counts:
        """Return counts [R, T, C]; `predicted` is as `right` if it is not needed."""
        shape = (self.models, self.classes, weights.shape[1])
        right = np.moveaxis((self._right_cells @ weights).reshape(shape), 2, 0)
        support = np.zeros((self.classes, weights.shape[1]))
        np.add.at(support, self.targets, weights)
        every = np.broadcast_to(support.T[:, None], right.shape)
        if not predicted:
            return Counts(right, right, every)
        return Counts(right, np.moveaxis((self._predicted_cells @ weights).reshape(shape), 2, 0), every)

    @staticmethod
    def _macro(metric: str, counts: Counts) -> Array:
        rule = confusion.f1 if metric == "val_macro_f1" else confusion.recall
        return macro(rule(counts), counts)

    @cached_property
    def _predicted_cells(self) -> csr_array:
        return self._cells(np.ones_like(self.right))

    @cached_property
    def _right_cells(self) -> csr_array:
        return self._cells(self.right)

    def _cells(self, chosen: npt.NDArray[np.bool_]) -> csr_array:
        """Return a matrix [T * C, N] that has 1 for a model's predicted class of an image that is `chosen`."""
        from scipy.sparse import csr_array

        images, models = np.nonzero(chosen)
        cells = models * self.classes + self.predicted[images, models]
        return csr_array((np.ones(len(cells)), (cells, images)), shape=(self.models * self.classes, self.images))

    def pooled_score(self, metric: str, shares: Array) -> float:
        """Return the metric of a mixture of models: `shares`, float64 [N, T], of each image's answer sum to 1."""
        if metric == LOSS:
            return float((shares * self.losses).sum() / self.images)
        if metric == "val_accuracy":
            return float((shares * self.right).sum() / self.images)
        support = np.bincount(self.targets, minlength=self.classes).astype(np.float64)
        right = np.bincount(self.targets, (shares * self.right).sum(axis=1), self.classes).astype(np.float64)
        predicted = np.bincount(self.predicted.ravel(), shares.ravel(), self.classes).astype(np.float64)
        return float(self._macro(metric, Counts(right, predicted, support)))


@dataclass(frozen=True, eq=False)
class Selection:
    """The best of T models by a metric, and its score on new images.

    best: index of the model; naive: its score on the images that it was chosen on; corrected: without the bias of the
        choice; interval: 95% of `corrected`, or None if there are too few independent images to say
    reason: why there is no correction, or None
    scores: float64 [T], the naive score of each model
    errors: float64 [T], standard error of the difference of each model's score to that of the best; 0 for the best
    plausible: bool [T], models that may be the best: no other is significantly better
    resamples: their number
    """

    best: int
    naive: float
    corrected: float
    interval: Interval | None
    reason: str | None
    scores: Array
    errors: Array
    plausible: npt.NDArray[np.bool_]
    resamples: int

    @property
    def bias(self) -> float:
        """Bias of the naive score: above 0 for a metric to raise, below 0 for a loss."""
        return self.naive - self.corrected

    def within_one_error(self, metric: str) -> npt.NDArray[np.bool_]:
        """Return bool [T], models that are worse than the best by at most the standard error of the difference.

        The error is that of the paired difference: models share the images, and most of their mistakes.
        """
        return gains(self.scores, metric).max() - gains(self.scores, metric) <= self.errors + TOLERANCE


def gains(scores: Array, metric: str) -> Array:
    """Return scores that are higher for better models."""
    return -scores if metric == LOSS else scores


def best_of(scores: Array, losses: Array, metric: str) -> npt.NDArray[np.int64]:
    """Return the best model of each row, int64 [R]: of scores [R, T]; equal ones by their loss [R, T], then the first.

    The accuracy of few images is often equal, and the loss still shows a difference then.
    """
    values = gains(scores, metric)
    equal = values >= values.max(axis=1, keepdims=True) - TOLERANCE
    return np.asarray(np.where(equal, np.round(losses, 9), np.inf).argmin(axis=1))


def select(answers: Scored, metric: str, seed: int, resamples: int = RESAMPLES) -> Selection:
    """Choose the best of the models, correct its score, and say which others may be the best.

    With one model nothing is chosen, and no score is corrected. Memory is bounded by blocks of resamples, besides
    the scores of all resamples, float64 [resamples, T].
    """
    ones = np.ones((answers.images, 1))
    scores, losses = answers.scores(metric, ones), answers.scores(LOSS, ones)
    best = int(best_of(scores, losses, metric)[0])
    drawn, chosen_outside, shares, seen = [], [], np.zeros((answers.images, answers.models)), np.zeros(answers.images)
    # With classes as strata, the only image of a class would be in every resample.
    one_stratum = np.zeros(answers.images, np.int64)
    for weights in resample_weights(one_stratum, resamples, np.random.default_rng(seed), answers.of_image):
        inside = answers.scores(metric, weights)
        chosen = best_of(inside, answers.scores(LOSS, weights), metric)
        outside = (weights == 0).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a resample may lack no image
            chosen_outside.append(answers.scores(metric, outside)[np.arange(len(chosen)), chosen])
        shares += outside @ np.eye(answers.models)[chosen]
        seen += outside.sum(axis=1)
        drawn.append(inside)
    naive = float(scores[0, best])
    deviations = np.concatenate(drawn) - scores[0]
    reason = None
    if answers.models == 1:
        reason = "there is one model, and so no choice"
    elif not seen.all():
        reason = "there are too few independent images"
    corrected = naive if reason else answers.pooled_score(metric, shares / np.maximum(seen, 1)[:, None])
    spread = float(np.nanstd(np.concatenate(chosen_outside))) * SPREAD_OF_ALL if seen.any() else 0.0
    return Selection(
        best=best,
        naive=naive,
        corrected=corrected,
        interval=_interval(answers, metric, corrected, spread),
        reason=reason,
        scores=scores[0],
        errors=(deviations - deviations[:, [best]]).std(axis=0),
        plausible=_plausible(gains(scores[0], metric), gains(deviations, metric), answers.clusters),
        resamples=resamples,
    )


def _interval(answers: Scored, metric: str, value: float, spread: float) -> Interval | None:
    """Return the 95% interval of a score; None if there are too few clusters, or all losses are equal."""
    clusters = answers.clusters
    if clusters is not None and clusters < FEW_GROUPS:
        return None
    bounds = Bounds(high=np.inf) if metric == LOSS else Bounds()
    if spread < TOLERANCE or not bounds.low < value < bounds.high:  # no mistake varies
        units = clusters or answers.images
        return None if metric == LOSS else wilson(value * units, units)
    return bounded_interval(value, spread, bounds.low, bounds.high, normal_quantile(CONFIDENCE, clusters))


def _plausible(scores: Array, deviations: Array, clusters: int | None) -> npt.NDArray[np.bool_]:
    """Return bool [T], models that no other beats significantly: multiple comparisons with the best (Hsu 1984).

    scores: [T], deviations of resampled scores from these: [R, T], both higher for better models. A model is excluded
    if the largest of its studentised deficits to the others is beyond the 95% quantile of that maximum, as resampled
    around 0. So the best model is excluded with a probability of about 5%, however many models there are and whichever
    of them won.
    """
    widening = normal_quantile(CONFIDENCE, clusters) / normal_quantile(CONFIDENCE)
    result = np.ones(len(scores), bool)
    for model in range(len(scores)):
        deficits, noise = scores - scores[model], deviations - deviations[:, [model]]
        errors = noise.std(axis=0)
        varies = errors > TOLERANCE  # models with the same answers are equal
        if varies.any():
            largest = (noise[:, varies] / errors[varies]).max(axis=1)
            limit = np.quantile(largest, CONFIDENCE) * widening
            result[model] = (deficits[varies] / errors[varies]).max() <= limit + TOLERANCE
    return result
