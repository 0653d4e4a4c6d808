"""Which images a person should look at first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.predictions import Predictions

SHOWN = 24
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
    return _cases(predictions, wrong[np.argsort(-predictions.confidence[wrong], kind="stable")])


def least_sure(predictions: Predictions) -> list[Case]:
    """The predictions of the lowest confidence, right or wrong."""
    return _cases(predictions, np.argsort(predictions.confidence, kind="stable"))


def most_confused(matrix: npt.NDArray[np.int64], labels: tuple[str, ...]) -> list[Confusion]:
    """The pairs of classes that are mistaken most often, by number of images."""
    wrong = matrix - np.diag(np.diag(matrix))
    rows, columns = np.nonzero(wrong)
    first = np.argsort(-wrong[rows, columns], kind="stable")[:CONFUSIONS]
    return [
        Confusion(labels[row], labels[column], int(matrix[row, column]), float(matrix[row, column] / matrix[row].sum()))
        for row, column in zip(rows[first], columns[first], strict=True)
    ]


def _cases(predictions: Predictions, order: npt.NDArray[Any]) -> list[Case]:
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
        for index in order[:SHOWN]
    ]
