"""Accuracy and error of a model on corrupted images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.evaluation.metrics.confusion import Targets
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.robustness.corruptions import Corruption
from transfercli.evaluation.statistics.clusters import cluster_indices
from transfercli.evaluation.statistics.intervals import proportion_interval


def score_corruption(
    plain: Predictions, predicted: Targets, corruption: Corruption, severity: int, size: Sequence[int]
) -> dict[str, Any]:
    """Return the accuracy under one corruption at one severity, with its interval.

    plain: predictions of the unchanged images; predicted: int [N], predicted classes of the corrupted images; size:
    (height, width) of the images in pixels. `changed` is the share of images with a different predicted class.
    """
    right = predicted == plain.targets
    return {
        "corruption": corruption.name,
        "severity": severity,
        "parameter": corruption.parameter(severity, size),
        "accuracy": float(right.mean()),
        "interval": list(proportion_interval(right, cluster_indices(plain.groups)) or ()),
        "changed": float((predicted != plain.predicted).mean()),
    }


def corruption_summary(plain: Predictions, rows: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Return the mean corruption error of `rows`, the results of `score_corruption`, and its parts.

    Hendrycks & Dietterich 2019 divide each corruption's error by that of AlexNet before averaging. No AlexNet exists
    for other classes, so this is the plain mean of errors, between 0 and 1. `relative_corruption_error` is the mean
    corruption error minus the error on the unchanged images.
    """
    names = dict.fromkeys(row["corruption"] for row in rows)
    errors = {name: _mean_error(row for row in rows if row["corruption"] == name) for name in names}
    mean, clean = float(np.mean(list(errors.values()))), float((plain.predicted != plain.targets).mean())
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
