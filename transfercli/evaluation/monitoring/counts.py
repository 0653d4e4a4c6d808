"""Counts of what a model was asked and of what it answered; all are integers, so that they add up in any order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.monitoring.histograms import CONFIDENCES, NUMBERS, Floats, Integers

# Sums of probabilities are kept in this unit, the distance of float32 numbers below 1: integers add up exactly.
UNIT = 2.0**-24
MOST = 2**62  # of any count: larger ones would overflow when files are added up

TOTALS = ("images", "failed", "abstained", "strange")
OF_CLASSES = ("predicted", "answered", "probability", "confidence_of")
HISTOGRAMS = {"confidence": CONFIDENCES, "score": NUMBERS, "value": NUMBERS}


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of a model to N images.

    probabilities: float [N, C], calibrated; of a regression the numbers, [N, 1]. given: bool [N, C], the labels that it
    answers. confidence: float [N, C], the probability that the model is right about a label: of an image with one
    class, about its answer, and 0 for all other classes; None of a regression. unsure: bool [N, C], the labels whose
    answer it abstains from. abstained: bool [N]. score: float [N], the out-of-distribution scores, and strange, bool
    [N]; None if it has none. several: True if an image may have several labels.
    """

    probabilities: Floats
    given: np.ndarray
    confidence: Floats | None
    unsure: np.ndarray
    abstained: np.ndarray
    score: Floats | None = None
    strange: np.ndarray | None = None
    several: bool = False

    def __len__(self) -> int:
        return len(self.probabilities)

    def at(self, rows: Integers) -> Answers:
        """Return the answers to some of the images."""
        return Answers(
            self.probabilities[rows],
            self.given[rows],
            None if self.confidence is None else self.confidence[rows],
            self.unsure[rows],
            self.abstained[rows],
            None if self.score is None else self.score[rows],
            None if self.strange is None else self.strange[rows],
            self.several,
        )

    @property
    def of_image(self) -> Floats:
        """The confidence of each image, float [N]: of several labels, that of the least sure one."""
        assert self.confidence is not None, "a regression has no confidence"
        return self.confidence.min(axis=1) if self.several else self.confidence.max(axis=1)


@dataclass(eq=False)
class Counts:
    """Counts of the images that a model was asked about, over C labels.

    images: answered images; failed: those that could not be read, or whose answer was not finite. abstained: those that
    `predict --abstain` marks; strange: those above the threshold of the out-of-distribution score.
    predicted: int64 [C], images by their most probable class; of several labels, images that were given a label.
    answered: images by their answer, which a threshold may choose, without those that the model abstains from.
    probability: sums of the probabilities of each class, in `UNIT`. confidence_of: sums of the confidence, in `UNIT`,
    of images by their answer; of several labels, of a label over all images.
    confidence, score, value: histograms in the bins of `HISTOGRAMS`: of the images' confidence, of the
    out-of-distribution scores, and of the numbers of a regression; all 0 if there are none.
    first, last: times of the first and the last image, in seconds since 1970; `first` is after `last` without images.
    """

    images: int
    failed: int
    abstained: int
    strange: int
    predicted: Integers
    answered: Integers
    probability: Integers
    confidence_of: Integers
    confidence: Integers
    score: Integers
    value: Integers
    first: int = MOST
    last: int = 0

    @classmethod
    def none(cls, labels: int) -> Counts:
        """Return the counts of no image."""
        zeros: dict[str, Any] = {name: np.zeros(labels, np.int64) for name in OF_CLASSES}
        zeros |= {name: np.zeros(grid.bins, np.int64) for name, grid in HISTOGRAMS.items()}
        return cls(**zeros | dict.fromkeys(TOTALS, 0))

    @property
    def labels(self) -> int:
        return len(self.predicted)

    def add(self, answers: Answers, now: int) -> None:
        """Count answers that were given at a time, in seconds since 1970; they are finite."""
        if not len(answers):
            return
        self.images += len(answers)
        self._at(now)
        if answers.confidence is None:
            self.value += NUMBERS.counts(answers.probabilities[:, 0])
            return
        self.abstained += int(answers.abstained.sum())
        most = answers.given if answers.several else one_hot(answers.probabilities.argmax(axis=1), self.labels)
        self.predicted += most.sum(axis=0)
        self.answered += (answers.given & ~answers.unsure).sum(axis=0)
        self.probability += _in_units(answers.probabilities)
        self.confidence_of += _in_units(answers.confidence)
        self.confidence += CONFIDENCES.counts(answers.of_image)
        if answers.score is not None:
            self.score += NUMBERS.counts(answers.score)
        if answers.strange is not None:
            self.strange += int(answers.strange.sum())

    def fail(self, images: int, now: int) -> None:
        """Count images without an answer."""
        if images:
            self.failed += images
            self._at(now)

    def _at(self, now: int) -> None:
        self.first, self.last = min(self.first, now), max(self.last, now)

    def merge(self, other: Counts) -> None:
        """Add the counts of other images."""
        for name in (*TOTALS, *OF_CLASSES, *HISTOGRAMS):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)

    def mean_confidence(self, *, several: bool) -> float | None:
        """Return the mean confidence of the answers, of several labels that of all labels; None if there is none."""
        answers = self.images * (self.labels if several else 1)
        return int(self.confidence_of.sum()) * UNIT / answers if answers and self.confidence.any() else None

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON; of a histogram, [bin, count] of each bin with images."""
        sparse = {
            name: [[int(i), int(getattr(self, name)[i])] for i in np.flatnonzero(getattr(self, name))]
            for name in HISTOGRAMS
        }
        return {
            **{name: getattr(self, name) for name in (*TOTALS, "first", "last")},
            **{name: getattr(self, name).tolist() for name in OF_CLASSES},
            **sparse,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any], labels: int) -> Counts:
        """Return counts of JSON from an untrusted source. Raises `ValueError` or `KeyError` if they contradict."""
        counts = cls.none(labels)
        for name in (*TOTALS, "first", "last"):
            setattr(counts, name, _count(values[name]))
        for name in OF_CLASSES:
            if not isinstance(values[name], list) or len(values[name]) != labels:
                raise ValueError(f"{name} is not one count for each of {labels} labels")
            setattr(counts, name, np.array([_count(value) for value in values[name]], np.int64))
        for name, grid in HISTOGRAMS.items():
            for place, count in values[name]:
                if not (type(place) is int and 0 <= place < grid.bins):
                    raise ValueError(f"{name} has no bin {place!r}")
                getattr(counts, name)[place] += _count(count)
        counted = [int(getattr(counts, name).sum()) for name in HISTOGRAMS]
        if max(counted, default=0) > counts.images or max(counts.abstained, counts.strange) > counts.images:
            raise ValueError(f"more images are counted than the {counts.images} that there were")
        return counts


def one_hot(classes: Integers, labels: int) -> npt.NDArray[np.bool_]:
    """Return bool [N, C], True at the class of each image."""
    return classes[:, None] == np.arange(labels)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST:
        raise ValueError(f"{value!r} is no count")
    return value


def _in_units(values: Floats) -> Integers:
    """Return the sums over images, int64 [C], of values [N, C] that are rounded to `UNIT`."""
    return np.rint(values.astype(np.float64) / UNIT).astype(np.int64).sum(axis=0)
