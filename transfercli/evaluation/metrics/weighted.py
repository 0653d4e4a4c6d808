"""Weighted predictions: the input of every metric.

One column of ones gives the metric of a split; 1,000 columns of weights give those of 1,000 bootstrap resamples.
Values that several metrics need are computed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.calibration import bin_gaps
from transfercli.evaluation.metrics.confusion import Array, Counts, Targets
from transfercli.evaluation.metrics.ranking import RankingAreas, ranking_areas


@dataclass(eq=False)
class Sample:
    """Predictions of N images with R columns of weights.

    targets: int64 [N]
    probabilities: float64 [N, C]
    weights: float64 [N, R], how often each image counts: whole numbers
    images: the number of images that decides the bins of the calibration error; the sum of the first column if None.
        Resamples of clusters differ in their sums, but all need the same bins.
    answers: int64 [N], the predicted classes if a threshold chose them; None for the most probable classes
    """

    targets: Targets
    probabilities: Array
    weights: Array
    images: int | None = None
    answers: Targets | None = None

    @classmethod
    def unweighted(cls, targets: Targets, probabilities: Array, answers: Targets | None = None) -> Sample:
        """Return a sample in which every image counts once."""
        return cls(targets, probabilities, np.ones((len(targets), 1)), answers=answers)

    @cached_property
    def predicted(self) -> Targets:
        """int64 [N], the predicted class of each image; the first one if several are equally probable."""
        return self.probabilities.argmax(axis=1) if self.answers is None else self.answers

    @cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """bool [N], True if an image's predicted class is the true one."""
        return self.predicted == self.targets

    @cached_property
    def counts(self) -> Counts:
        """Counts of each class: arrays [R, C]."""
        classes = self.probabilities.shape[1]
        hits = self.predicted[self.right]
        return Counts(
            sum_by_group(self.weights[self.right], hits, classes),
            sum_by_group(self.weights, self.predicted, classes),
            sum_by_group(self.weights, self.targets, classes),
        )

    @cached_property
    def ranking(self) -> RankingAreas:
        """Ranking metrics of each class against the rest: arrays [R, C]."""
        return ranking_areas(self.targets, self.probabilities, self.weights)

    @cached_property
    def gaps(self) -> Array:
        """Calibration gaps of bins of equal mass, each times its share of the images: [R, B].

        They are of the probabilities, so of the most probable class, also if a threshold chose the answers.
        """
        images = self.images or round(float(self.weights[:, 0].sum()))
        likely = self.probabilities.argmax(axis=1) == self.targets
        return bin_gaps(self.probabilities.max(axis=1), likely, self.weights, images)

    def mean(self, values: Array) -> Array:
        """Return the weighted mean of `values` [N] for each column of weights, [R]."""
        mean: Array = values @ self.weights / self.weights.sum(axis=0)
        return mean


def sum_by_group(weights: Array, groups: Targets, number: int) -> Array:
    """Return the sum of weights of each group, [R, `number`], for weights [N, R] and groups int [N]."""
    total = np.zeros((number, weights.shape[1]))
    order = np.argsort(groups, kind="stable")
    present, starts = np.unique(groups[order], return_index=True)
    if len(present):
        total[present] = np.add.reduceat(weights[order], starts, axis=0)
    return total.T
