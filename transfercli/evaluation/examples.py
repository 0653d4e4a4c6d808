"""Which images a person should look at first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.quality.confident_learning import find_suspects
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.paired import told_apart

SHOWN = 24
PER_CLASS = 3
CONFUSIONS = 10
# Reads uint8 [n, H, W, 3] for int indices [n] into the split.
Reader = Callable[[npt.NDArray[np.int64]], npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Case:
    """One image: where it is, what it is, what the model took it for and how sure it was."""

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
    """Images of class `truth` taken for `predicted`, and their share of all images of `truth`."""

    truth: str
    predicted: str
    images: int
    share: float


def worst_mistakes(predictions: Predictions) -> list[Case]:
    """Wrong predictions, the most confident ones first."""
    wrong = np.flatnonzero(predictions.predicted != predictions.targets)
    return cases_of(predictions, wrong[np.argsort(-predictions.confidence[wrong], kind="stable")])


def least_sure(predictions: Predictions) -> list[Case]:
    """The predictions of the lowest confidence, right or wrong."""
    return cases_of(predictions, np.argsort(predictions.confidence, kind="stable"))


def typically_right(predictions: Predictions) -> list[Case]:
    """Of each class, the right predictions of the middle confidence, as many as make 24 in all and 3 at most.

    Where there are more classes than places, those with the most images.
    """
    right = np.flatnonzero(predictions.predicted == predictions.targets)
    by_confidence = right[np.argsort(-predictions.confidence[right], kind="stable")]
    targets = predictions.targets[by_confidence]
    classes, counts = np.unique(targets, return_counts=True)
    classes = classes[np.argsort(-counts, kind="stable")][:SHOWN]
    each = min(PER_CLASS, SHOWN // max(len(classes), 1))
    chosen = [_middle(by_confidence[targets == number], each) for number in np.sort(classes)]
    return cases_of(predictions, np.concatenate(chosen)) if chosen else []


def _middle(order: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    start = max(0, (len(order) - count) // 2)
    return order[start : start + count]


@dataclass(frozen=True, slots=True)
class Change:
    """One image as two models see it."""

    champion: Case
    challenger: Case


def changes(champion: Predictions, challenger: Predictions, most: int = SHOWN) -> tuple[list[Change], list[Change]]:
    """Images that only the challenger has right, and those that only the champion has: at most so many of each.

    Those come first for whose true class the two give the most different probabilities.
    """
    rows = np.arange(len(champion))
    before, after = (one.probabilities[rows, one.targets] for one in (champion, challenger))
    apart = np.abs(after - before)

    def pairs(found: npt.NDArray[np.int64]) -> list[Change]:
        order = found[np.argsort(-apart[found], kind="stable")]
        both = (cases_of(one, order, most) for one in (champion, challenger))
        return [Change(*cases) for cases in zip(*both, strict=True)]

    fixed, broken = told_apart(champion, challenger)
    return pairs(fixed), pairs(broken)


@dataclass(frozen=True, slots=True)
class Doubt:
    """An image whose label is likely wrong, and the class it is likely of."""

    case: Case
    likely: str


def doubtful_labels(predictions: Predictions) -> tuple[list[Doubt], int]:
    """Return the likely label errors by confident learning, the surest first, and their number in all."""
    rows, guesses = find_suspects(predictions.probabilities, predictions.targets)
    cases = cases_of(predictions, rows)
    doubts = [Doubt(case, predictions.labels[guess]) for case, guess in zip(cases, guesses, strict=False)]
    return doubts, len(rows)


def to_look_at(predictions: Predictions) -> list[int]:
    """Indices of the worst mistakes, the least sure and the typically right, in turn: a part of it has some of each."""
    kinds = (worst_mistakes(predictions), least_sure(predictions), typically_right(predictions))
    turns = zip_longest(*([case.index for case in cases] for cases in kinds))
    return list(dict.fromkeys(index for turn in turns for index in turn if index is not None))


def most_confused(matrix: npt.NDArray[np.int64], labels: tuple[str, ...]) -> list[Confusion]:
    """The pairs of classes that are mistaken most often, by number of images."""
    wrong = matrix - np.diag(np.diag(matrix))
    rows, columns = np.nonzero(wrong)
    first = np.argsort(-wrong[rows, columns], kind="stable")[:CONFUSIONS]
    return [
        Confusion(labels[row], labels[column], int(matrix[row, column]), float(matrix[row, column] / matrix[row].sum()))
        for row, column in zip(rows[first], columns[first], strict=True)
    ]


def cases_of(predictions: Predictions, order: npt.NDArray[Any], most: int = SHOWN) -> list[Case]:
    """The first of the images at `order`, at most so many."""
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
