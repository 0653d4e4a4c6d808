"""Accuracy and error of a model on corrupted images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.metrics.confusion import Targets
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.robustness.corruptions import Corruption
from transfercli.evaluation.statistics.intervals import proportion_interval

Bools = npt.NDArray[np.bool_]
# Answers to N images: predicted classes int [N], or answered labels bool [N, L].
Answers = npt.NDArray[Any]


def score_corruption(
    plain: Predictions | LabelPredictions,
    predicted: Answers,
    corruption: Corruption,
    severity: int,
    size: Sequence[int],
) -> dict[str, Any]:
    """Return the accuracy under one corruption at one severity, with its interval.

    plain: predictions of the unchanged images; predicted: answers to the corrupted images; size: (height, width) of the
    images in pixels. `changed` is the share of images with a different answer. With several labels per image, accuracy
    is the share of right answers among the pairs of image and label that are known.
    """
    right, of_pair = _right(plain, predicted)
    return {
        "corruption": corruption.name,
        "severity": severity,
        "parameter": corruption.parameter(severity, size),
        "accuracy": float(right.mean()),
        "interval": list(proportion_interval(right, of_pair) or ()),
        "changed": float((predicted != _answers(plain)).reshape(len(plain), -1).any(axis=1).mean()),
    }


def _answers(predictions: Predictions | LabelPredictions) -> Answers:
    return predictions.answered if isinstance(predictions, LabelPredictions) else predictions.predicted


def _right(predictions: Predictions | LabelPredictions, answers: Answers) -> tuple[Bools, Targets | None]:
    """Return True for right answers, bool [M], and their clusters, int [M], or None if all are independent.

    M is the number of images, or of pairs of image and label that are known.
    """
    of_image = cluster_indices(predictions.groups)
    if not isinstance(predictions, LabelPredictions):
        return answers == predictions.targets, of_image
    images, labels = np.nonzero(predictions.known)
    right = answers[images, labels] == (predictions.targets[images, labels] == 1)
    return right, images if of_image is None else of_image[images]


def corruption_summary(
    plain: Predictions | LabelPredictions, rows: Sequence[dict[str, Any]], seed: int
) -> dict[str, Any]:
    """Return the mean corruption error of `rows`, the results of `score_corruption`, and its parts.

    Hendrycks & Dietterich 2019 divide each corruption's error by that of AlexNet before averaging. No AlexNet exists
    for other classes, so this is the plain mean of errors, between 0 and 1. `relative_corruption_error` is the mean
    corruption error minus the error on the unchanged images.
    """
    names = dict.fromkeys(row["corruption"] for row in rows)
    errors = {name: _mean_error(row for row in rows if row["corruption"] == name) for name in names}
    mean, clean = float(np.mean(list(errors.values()))), float((~_right(plain, _answers(plain))[0]).mean())
    return {
        "seed": seed,
        "clean_error": clean,
        "mean_corruption_error": mean,
        "relative_corruption_error": mean - clean,
        "errors": errors,
        "corruptions": list(rows),
    }


def _mean_error(rows: Any) -> float:
    return float(np.mean([1 - row["accuracy"] for row in rows]))
