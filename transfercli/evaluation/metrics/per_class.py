"""Metrics of one class against the rest, besides precision, recall and F1.

Each class is a binary problem. The prediction is positive if the class is the most probable one; the probability of
the class is the score that is ranked and calibrated. An undefined value is NaN.
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
class OneVsRest:
    """Predictions as a binary problem: class 1 is the class, class 0 all others.

    decisions: with 0 and 1 as probabilities: the most probable class of each image
    scores: with the model's probabilities
    """

    decisions: Sample
    scores: Sample


def _of_decisions(name: str) -> Callable[[OneVsRest], float]:
    return lambda problem: float(METRICS[name].rule(problem.decisions)[0])


def _of_scores(name: str) -> Callable[[OneVsRest], float]:
    return lambda problem: float(METRICS[name].rule(problem.scores)[0])


def _average_precision(problem: OneVsRest) -> float:
    return float(problem.scores.ranking.average_precision[0, 1])


def _ece(problem: OneVsRest) -> float:
    scores = problem.scores
    return expected_calibration_error(scores.probabilities[:, 1], scores.targets == 1)


ONE_VS_REST: dict[str, Callable[[OneVsRest], float]] = {
    "accuracy": _of_decisions("accuracy"),
    "balanced_accuracy": _of_decisions("balanced_accuracy"),
    "cohen_kappa": _of_decisions("cohen_kappa"),
    "mcc": _of_decisions("mcc"),
    "log_loss": _of_scores("log_loss"),
    "brier": _of_scores("brier"),
    "roc_auc": _of_scores("roc_auc"),
    "average_precision": _average_precision,
    "ece": _ece,
}


def one_vs_rest(targets: Targets, probabilities: Array, index: int, answers: Targets | None = None) -> dict[str, float]:
    """Return every metric of ONE_VS_REST for class `index`, for targets int [N] and probabilities float64 [N, C].

    answers: int [N], the predicted classes; None for the most probable ones
    """
    predicted = probabilities.argmax(axis=1) if answers is None else answers
    positive = (targets == index).astype(np.int64)
    decided = (predicted == index).astype(np.float64)
    scores = probabilities[:, index]
    problem = OneVsRest(
        Sample.unweighted(positive, _two_columns(decided)), Sample.unweighted(positive, _two_columns(scores))
    )
    return {name: metric(problem) for name, metric in ONE_VS_REST.items()}


def _two_columns(positive: npt.NDArray[np.float64]) -> Array:
    return np.stack([1 - positive, positive], axis=1)
