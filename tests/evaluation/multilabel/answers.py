"""Random answers with several labels."""

from __future__ import annotations

import math

import numpy as np

from transfercli.evaluation.multilabel.metrics import LABEL_METRICS
from transfercli.evaluation.multilabel.predictions import LabelPredictions


def random_answers(seed: int, images: int = 60, labels: int = 6, missing: float = 0.2) -> LabelPredictions:
    """Return random answers with ties, unknown targets, a label without images and one of all images."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((images, labels)) < rng.uniform(0.1, 0.6, labels)).astype(int)
    probabilities = np.round(np.clip(0.6 * rng.random((images, labels)) + 0.4 * targets, 0, 1), 2)
    targets[:, 0], targets[:, 1] = 0, 1
    targets[rng.random((images, labels)) < missing] = -1
    thresholds = rng.uniform(0.3, 0.7, labels)
    paths = [f"{number}.png" for number in range(images)]
    return LabelPredictions(paths, [f"l{label}" for label in range(labels)], targets, probabilities, thresholds)


def label_value_of(name: str, answers: LabelPredictions) -> float | None:
    """Return the value of a row of LABEL_METRICS, or None if it is not defined."""
    value = float(LABEL_METRICS[name].value(answers))
    return value if math.isfinite(value) else None
