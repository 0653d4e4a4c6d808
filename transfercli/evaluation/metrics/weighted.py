"""Predictions, and how often each of their images counts: what every metric is a function of.

A metric of a split is one column of ones; a thousand resamples are a thousand columns. What several metrics need is
computed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.calibration import bin_gaps
from transfercli.evaluation.metrics.confusion import Array, Counts, Targets
from transfercli.evaluation.metrics.ranking import Ranked, rank


@dataclass(eq=False)
class Sample:
    """R versions of one set of predictions.

    targets: int64 [N]
    probabilities: float64 [N, C]
    weights: float64 [N, R], whole numbers; each column adds up to the same number of images
    """

    targets: Targets
    probabilities: Array
    weights: Array

    @classmethod
    def whole(cls, targets: Targets, probabilities: Array) -> Sample:
        """Every image once."""
        return cls(targets, probabilities, np.ones((len(targets), 1)))

    @cached_property
    def predicted(self) -> Targets:
        """int64 [N], the first of the most probable classes."""
        return self.probabilities.argmax(axis=1)

    @cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """bool [N], whether an image's most probable class is the true one."""
        return self.predicted == self.targets

    @cached_property
    def counts(self) -> Counts:
        """Arrays [R, C]."""
        classes = self.probabilities.shape[1]
        hits = self.predicted[self.right]
        return Counts(
            grouped(self.weights[self.right], hits, classes),
            grouped(self.weights, self.predicted, classes),
            grouped(self.weights, self.targets, classes),
        )

    @cached_property
    def ranked(self) -> Ranked:
        """Each class against the rest, by the order of its probabilities: arrays [R, C]."""
        return rank(self.targets, self.probabilities, self.weights)

    @cached_property
    def gaps(self) -> Array:
        """[R, 15]: of accuracy and confidence in bins of equal mass, each times its share of the images."""
        return bin_gaps(self.probabilities.max(axis=1), self.right, self.weights)

    def mean(self, values: Array) -> Array:
        """[R]: the mean of `values` [N] over the images of each version."""
        mean: Array = values @ self.weights / self.weights.sum(axis=0)
        return mean


def grouped(weights: Array, groups: Targets, number: int) -> Array:
    """[R, `number`]: the weight of the images of each group, for weights [N, R] and groups int [N]."""
    total = np.zeros((number, weights.shape[1]))
    order = np.argsort(groups, kind="stable")
    found, starts = np.unique(groups[order], return_index=True)
    if len(found):
        total[found] = np.add.reduceat(weights[order], starts, axis=0)
    return total.T
