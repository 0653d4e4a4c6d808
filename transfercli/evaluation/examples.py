"""Selections of images for a report: worst mistakes, least confident, typically right, likely label errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.quality.label_noise import label_noise
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.paired import disagreements

SHOWN = 24
PER_CLASS = 3
CONFUSIONS = 10
# Reads uint8 [n, H, W, 3] for int indices [n] into the split.
Reader = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Case:
    """An image with its true class, its predicted class and their probabilities."""

    index: int
    path: str
    truth: str
    predicted: str
    confidence: float
    truth_probability: float

    @property
    def right(self) -> bool:
        return self.truth == self.predicted


@dataclass(frozen=True, slots=True)
class Confusion:
    """The number of images of class `truth` predicted as `predicted`, and their share of all images of `truth`."""

    truth: str
    predicted: str
    images: int
    share: float


def worst_mistakes(predictions: Predictions) -> list[Case]:
    """Return the wrong predictions, the most confident ones first."""
    wrong = np.flatnonzero(predictions.predicted != predictions.targets)
    return cases_at(predictions, wrong[np.argsort(-predictions.confidence[wrong], kind="stable")])


def least_sure(predictions: Predictions) -> list[Case]:
    """Return the predictions of the lowest confidence, right or wrong."""
    return cases_at(predictions, np.argsort(predictions.confidence, kind="stable"))


def typically_right(predictions: Predictions) -> list[Case]:
    """Return right predictions of medium confidence: at most 3 of each class, and 24 in all.

    With more than 24 classes, only those with the most right predictions have an image.
    """
    right = np.flatnonzero(predictions.predicted == predictions.targets)
    by_confidence = right[np.argsort(-predictions.confidence[right], kind="stable")]
    targets = predictions.targets[by_confidence]
    classes, counts = np.unique(targets, return_counts=True)
    classes = classes[np.argsort(-counts, kind="stable")][:SHOWN]
    per_class = min(PER_CLASS, SHOWN // max(len(classes), 1))
    chosen = [_middle(by_confidence[targets == index], per_class) for index in np.sort(classes)]
    return cases_at(predictions, np.concatenate(chosen)) if chosen else []


def _middle(order: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    start = max(0, (len(order) - count) // 2)
    return order[start : start + count]


@dataclass(frozen=True, slots=True)
class Change:
    """An image that one of two models classifies correctly and the other does not."""

    champion: Case
    challenger: Case


def changes(champion: Predictions, challenger: Predictions, most: int = SHOWN) -> tuple[list[Change], list[Change]]:
    """Return the images that only the challenger has right, and those that only the champion has right.

    At most `most` of each, sorted by how far apart the two models' probabilities of the true class are.
    """
    rows = np.arange(len(champion))
    before, after = (model.probabilities[rows, model.targets] for model in (champion, challenger))
    distance = np.abs(after - before)

    def pairs(indices: npt.NDArray[np.int64]) -> list[Change]:
        order = indices[np.argsort(-distance[indices], kind="stable")]
        both = (cases_at(model, order, most) for model in (champion, challenger))
        return [Change(*cases) for cases in zip(*both, strict=True)]

    fixed, broken = disagreements(champion, challenger)
    return pairs(fixed), pairs(broken)


@dataclass(frozen=True, slots=True)
class LabelError:
    """An image whose label is likely wrong, its likely class, and the probability that the label is wrong."""

    case: Case
    likely: str
    probability: float


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """Likely label errors, the most likely first, the number of all, and how many of all are false alarms."""

    shown: Sequence[LabelError]
    count: int
    expected_false_alarms: float


def likely_label_errors(predictions: Predictions) -> LabelErrors:
    """Return the images whose label is more likely wrong than right, by the rule of `data check`."""
    least = np.finfo(np.float32).tiny
    noise = label_noise(np.log(np.maximum(predictions.probabilities, least)), predictions.targets)
    doubted = noise.doubted()
    shown = [
        LabelError(case, predictions.labels[noise.suggested[case.index]], float(noise.wrong[case.index]))
        for case in cases_at(predictions, noise.most_likely_first(doubted[:SHOWN]))
    ]
    return LabelErrors(shown, len(doubted), float((1 - noise.wrong[doubted]).sum()))


def images_to_explain(predictions: Predictions) -> list[int]:
    """Return the indices of the worst mistakes, the least sure and the typically right images.

    The three kinds alternate, so that the first n indices hold some of each.
    """
    kinds = (worst_mistakes(predictions), least_sure(predictions), typically_right(predictions))
    rounds = zip_longest(*([case.index for case in cases] for cases in kinds))
    return list(dict.fromkeys(index for indices in rounds for index in indices if index is not None))


def most_confused(matrix: npt.NDArray[np.int64], labels: tuple[str, ...]) -> list[Confusion]:
    """Return the 10 most frequent confusions of two classes, by number of images."""
    wrong = matrix - np.diag(np.diag(matrix))
    rows, columns = np.nonzero(wrong)
    first = np.argsort(-wrong[rows, columns], kind="stable")[:CONFUSIONS]
    return [
        Confusion(labels[row], labels[column], int(matrix[row, column]), float(matrix[row, column] / matrix[row].sum()))
        for row, column in zip(rows[first], columns[first], strict=True)
    ]


def cases_at(predictions: Predictions, order: npt.NDArray[Any], most: int = SHOWN) -> list[Case]:
    """Return a `Case` for each of the first `most` indices in `order`."""
    predicted, confidence = predictions.predicted, predictions.confidence
    return [
        Case(
            index=int(index),
            path=predictions.paths[index],
            truth=predictions.labels[predictions.targets[index]],
            predicted=predictions.labels[predicted[index]],
            confidence=float(confidence[index]),
            truth_probability=float(predictions.probabilities[index, predictions.targets[index]]),
        )
        for index in order[:most]
    ]
