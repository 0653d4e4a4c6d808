"""How much of a model's accuracy is left where its images are corrupted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.evaluation.metrics.confusion import Targets
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.robustness.corruptions import Corruption
from transfercli.evaluation.statistics.intervals import wilson


def measured(
    plain: Predictions, predicted: Targets, corruption: Corruption, severity: int, size: Sequence[int]
) -> dict[str, Any]:
    """One corruption at one severity.

    plain: of the images as they are; predicted: int [N], the classes of the same images, corrupted; size: (height,
    width) of them in pixels. `changed` is the share of images that are taken for another class than before, right or
    wrong.
    """
    right = int((predicted == plain.targets).sum())
    return {
        "corruption": corruption.name,
        "severity": severity,
        "parameter": corruption.parameter(severity, size),
        "accuracy": right / len(plain),
        "interval": list(wilson(right, len(plain)) or ()),
        "changed": float((predicted != plain.predicted).mean()),
    }


def robustness(plain: Predictions, rows: Sequence[dict[str, Any]], seed: int) -> dict[str, Any]:
    """The mean corruption error of `rows`, which `measured` gave, and its parts.

    Hendrycks & Dietterich 2019 divide each corruption's error by AlexNet's before they take the mean; there is no
    AlexNet for other classes, so this is the plain mean of errors, between 0 and 1. `relative_corruption_error` is what
    of it the corruptions add to the error of the images as they are.
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
