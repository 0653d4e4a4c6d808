"""Metrics of one class against the rest, beyond precision, recall and F1.

A class is a question of its own: is it one? An image is predicted as it where it is the most probable class, and its
probability is what is ranked and calibrated. Where nothing is defined, the value is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.calibration import expected_calibration_error
from transfercli.evaluation.metrics.confusion import Array, Targets
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.metrics.weighted import Sample


@dataclass(frozen=True, slots=True, eq=False)
class OneClass:
    """All predictions, as the question whether an image is of one class.

    sample: of two classes, the rest and this one, whose "probabilities" are 0 and 1: what was decided
    stated: the same, with the probabilities that were stated
    """

    decided: Sample
    stated: Sample


def _decided(name: str) -> Callable[[OneClass], float]:
    return lambda one: float(METRICS[name].rule(one.decided)[0])


def _stated(name: str) -> Callable[[OneClass], float]:
    return lambda one: float(METRICS[name].rule(one.stated)[0])


def _average_precision(one: OneClass) -> float:
    return float(one.stated.ranked.average_precision[0, 1])


def _ece(one: OneClass) -> float:
    positive = one.stated.targets == 1
    return float(expected_calibration_error(one.stated.probabilities[:, 1], positive, one.stated.weights)[0])


ONE_CLASS: dict[str, Callable[[OneClass], float]] = {
    "accuracy": _decided("accuracy"),
    "balanced_accuracy": _decided("balanced_accuracy"),
    "cohen_kappa": _decided("cohen_kappa"),
    "mcc": _decided("mcc"),
    "log_loss": _stated("log_loss"),
    "brier": _stated("brier"),
    "roc_auc": _stated("roc_auc"),
    "average_precision": _average_precision,
    "ece": _ece,
}


def one_class(targets: Targets, probabilities: Array, number: int) -> dict[str, float]:
    """Every row of ONE_CLASS for class `number`, for targets int [N] and probabilities float64 [N, C]."""
    positive = (targets == number).astype(np.int64)
    decided = probabilities.argmax(axis=1) == number
    stated = probabilities[:, number]
    one = OneClass(Sample.whole(positive, _both(decided.astype(np.float64))), Sample.whole(positive, _both(stated)))
    return {name: value(one) for name, value in ONE_CLASS.items()}


def _both(share: npt.NDArray[np.float64]) -> Array:
    return np.stack([1 - share, share], axis=1)
