"""Measures of an artefact beside its run, by task: agreement of their answers, and scores against the true labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from transfercli.config.types import CLASSIFY, REGRESSION, Task
from transfercli.data.label_sets import UNKNOWN
from transfercli.models.tasks.answers import answers_of

DROP, DROPPED_IMAGES = 0.01, 2
PARITY = 1e-3  # largest difference of a float32 artefact: of probabilities, or of numbers in their standard deviation

Probabilities = npt.NDArray[np.floating]
Numbers = dict[str, float | None]


class Measures(Protocol):
    """Measures of one task. All probabilities are [N, C], of the same N images.

    names: of the scores, each of which a result has as NAME_original and NAME_exported; the last one that is not None
    is limited by `--max-drop`.
    """

    @property
    def names(self) -> tuple[str, ...]: ...

    def scores(self, probabilities: Probabilities, targets: npt.NDArray[np.integer]) -> Numbers:
        """Return name -> score; None if it is not defined for these images."""

    def agreement(self, actual: Probabilities, expected: Probabilities) -> float:
        """Return the fraction of images for which both give the same answer."""

    def closeness(self, expected: Probabilities, difference: float) -> Numbers:
        """Return further results about answers that change if probabilities change by up to `difference`."""

    def default_drop(self, examples: int) -> float:
        """Return the largest drop that int8 may cost without `--max-drop`."""


@dataclass(frozen=True, slots=True)
class OneLabel:
    """Measures of images that have exactly one label.

    The answer is the most probable one; or, with a threshold, the second of two classes from that probability.
    """

    threshold: float | None = None
    names: tuple[str, ...] = ("accuracy",)

    def scores(self, probabilities: Probabilities, targets: npt.NDArray[np.integer]) -> Numbers:
        """Return the accuracy; targets: int [N], indices of classes."""
        return {"accuracy": float(np.mean(self._answers(probabilities) == targets))}

    def agreement(self, actual: Probabilities, expected: Probabilities) -> float:
        return float(np.mean(self._answers(actual) == self._answers(expected)))

    def _answers(self, probabilities: Probabilities) -> npt.NDArray[np.integer]:
        answers = answers_of(probabilities, self.threshold)
        return probabilities.argmax(axis=1) if answers is None else answers

    def closeness(self, expected: Probabilities, difference: float) -> Numbers:
        return {}

    def default_drop(self, examples: int) -> float:
        """Return the larger of 0.01 and two images: of 100 images, one alone is 0.01."""
        return max(DROP, DROPPED_IMAGES / examples)


@dataclass(frozen=True, slots=True)
class SeveralLabels:
    """Measures of images that may have several labels; the answer is the set of those at or above their thresholds.

    thresholds: float [L]
    """

    thresholds: npt.NDArray[np.floating]
    names: tuple[str, ...] = ("accuracy", "map")

    def scores(self, probabilities: Probabilities, targets: npt.NDArray[np.integer]) -> Numbers:
        """Return the fraction of known labels that are right, and the mean average precision.

        targets: int [N, L]: 1, 0, or -1 if unknown. The mean is over the labels that at least one image has.
        """
        from sklearn.metrics import average_precision_score

        known, has = targets != UNKNOWN, targets == 1
        right = (self._answered(probabilities) == has)[known]
        precisions = [
            float(average_precision_score(has[known[:, label], label], probabilities[known[:, label], label]))
            for label in np.flatnonzero(has.any(axis=0))
        ]
        return {
            "accuracy": float(right.mean()) if right.size else None,
            "map": float(np.mean(precisions)) if precisions else None,
        }

    def agreement(self, actual: Probabilities, expected: Probabilities) -> float:
        """Return the fraction of images with the same set of labels."""
        return float(np.mean((self._answered(actual) == self._answered(expected)).all(axis=1)))

    def closeness(self, expected: Probabilities, difference: float) -> Numbers:
        """Return the fraction of images with a probability within `difference` of its threshold.

        Other images keep their labels, so agreement is at least 1 minus it.
        """
        margins = np.abs(expected.astype(np.float64) - self.thresholds)
        return {"near_threshold": float(np.mean((margins <= difference).any(axis=1)))}

    def default_drop(self, examples: int) -> float:
        """Return one point of mean average precision."""
        return DROP

    def _answered(self, probabilities: Probabilities) -> npt.NDArray[np.bool_]:
        return probabilities >= self.thresholds


@dataclass(frozen=True, slots=True)
class OneNumber:
    """Measures of images that have one number each; two answers agree if they differ by no more than is allowed.

    Its score is the mean absolute error, which is lower for better answers: `--max-drop` cannot limit it.
    """

    names: tuple[str, ...] = ("mae",)

    def scores(self, probabilities: Probabilities, targets: npt.NDArray[np.number]) -> Numbers:
        """Return the mean absolute error of numbers [N, 1] for the true ones, [N]."""
        return {"mae": float(np.abs(probabilities[:, 0].astype(np.float64) - targets).mean())}

    def agreement(self, actual: Probabilities, expected: Probabilities) -> float:
        return float(np.mean(np.abs(actual.astype(np.float64) - expected) <= PARITY * unit_of(expected)))

    def closeness(self, expected: Probabilities, difference: float) -> Numbers:
        return {}

    def default_drop(self, examples: int) -> float:
        return math.inf


def unit_of(values: Probabilities) -> float:
    """Return the unit of differences of numbers [N, 1]: their standard deviation, or the largest size if it is 0."""
    return float(values.std()) or float(np.abs(values).max()) or 1.0


def measures_for(
    thresholds: tuple[float, ...] | None, threshold: float | None = None, task: Task = CLASSIFY
) -> Measures:
    """Return the measures of a model with thresholds, one a label; or, without any, of a model of one label an image.

    threshold: of the second of two classes; None for the most probable class. task: of the model.
    """
    if task == REGRESSION:
        return OneNumber()
    return OneLabel(threshold) if thresholds is None else SeveralLabels(np.array(thresholds))
