"""Answers of a model to images, with their features: what estimates of the accuracy without labels are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from transfercli.data.label_sets import UNKNOWN
from transfercli.evaluation.metrics.confusion import Counts, Targets

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_TINY = 1e-3  # a probability of 0 or 1 counts as this far from it: one image must not decide a mean of log odds


@dataclass(frozen=True, eq=False)
class AnsweredImages:
    """Answers of a model to N images, about C classes or labels.

    probabilities: float64 [N, C], calibrated
    answered: bool [N, C], True for the class that is answered, or for any number of labels
    features: float32 [N, D]
    several: True if an image may have several labels
    groups: int64 [N], the independent group of each image; None if each is one of its own
    """

    probabilities: Array
    answered: Bools
    features: npt.NDArray[np.float32]
    several: bool = False
    groups: Targets | None = None

    def __len__(self) -> int:
        return len(self.probabilities)

    @cached_property
    def certainty(self) -> Array:
        """The probability that a decision is right: about the class, [N, 1], or about each label, yes or no, [N, L]."""
        if self.several:
            return np.where(self.answered, self.probabilities, 1 - self.probabilities)
        rows = np.arange(len(self))
        return self.probabilities[rows, self.classes][:, None]

    @cached_property
    def classes(self) -> Targets:
        """The answered class of each image, int64 [N]; of several labels the number of those that are answered."""
        if self.several:
            return self.answered.sum(axis=1)
        return self.answered.argmax(axis=1)

    def of_rows(self, rows: Targets) -> AnsweredImages:
        """Return the answers to some images, each as often as it is named."""
        groups = None if self.groups is None else self.groups[rows]
        return AnsweredImages(self.probabilities[rows], self.answered[rows], self.features[rows], self.several, groups)


@dataclass(frozen=True, eq=False)
class LabelledAnswers:
    """Answers to N images whose labels are known.

    truth: int8 [N, C], 1 for the class of the image or its labels, 0 for the others, `UNKNOWN` for a label that nobody
    looked for
    """

    answers: AnsweredImages
    truth: npt.NDArray[np.int8]

    @classmethod
    def of_targets(cls, answers: AnsweredImages, targets: Targets) -> LabelledAnswers:
        """Return answers with targets int64 [N], or [N, L] of several labels."""
        if answers.several:
            return cls(answers, targets.astype(np.int8))
        return cls(answers, (targets[:, None] == np.arange(answers.probabilities.shape[1])).astype(np.int8))

    def __len__(self) -> int:
        return len(self.answers)

    @cached_property
    def known(self) -> Bools:
        """bool, the shape of `right`: True if the truth about a decision is known."""
        if self.answers.several:
            return self.truth != UNKNOWN
        return np.ones((len(self), 1), bool)

    @cached_property
    def right(self) -> Bools:
        """bool [N, 1], True if the answered class is right; [N, L] for each label."""
        if self.answers.several:
            return (self.truth == 1) == self.answers.answered
        return np.any((self.truth == 1) & self.answers.answered, axis=1)[:, None]

    def accuracy(self, weights: Array | None = None) -> float:
        """Return the share of right decisions. weights: float64 [N], of the images; None for equal ones."""
        factor = np.ones(len(self)) if weights is None else weights
        return float((factor[:, None] * (self.right & self.known)).sum() / (factor[:, None] * self.known).sum())

    def counts(self) -> Counts:
        """Return the counts of each class or label, each [C]."""
        known = self.truth != UNKNOWN
        truth, answered = self.truth == 1, self.answers.answered & known
        return Counts(*((each.sum(axis=0).astype(np.float64)) for each in (truth & answered, answered, truth)))

    def of_rows(self, rows: Targets) -> LabelledAnswers:
        """Return some images, each as often as it is named."""
        return LabelledAnswers(self.answers.of_rows(rows), self.truth[rows])


def log_odds(probabilities: npt.NDArray[np.floating] | float) -> Array:
    """Return log(p / (1 - p)); a probability of 0 or 1 counts as `_TINY` away from it."""
    clipped = np.clip(np.asarray(probabilities, np.float64), _TINY, 1 - _TINY)
    return np.log(clipped) - np.log1p(-clipped)


def from_log_odds(values: npt.NDArray[np.floating] | float) -> Array:
    """Return the probabilities of log odds."""
    return 1 / (1 + np.exp(-np.asarray(values, np.float64)))
