"""Two real models of scenes: pairs of digits side by side, labelled by the digits that are in them."""

from __future__ import annotations

from functools import cache

import numpy as np
from sklearn.linear_model import LogisticRegression

from tests.digits import all_digits
from transfercli.evaluation.multilabel.predictions import LabelPredictions

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@cache
def scenes() -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [900, 8, 16, 3], and targets int64 [900, 10]; the place of a digit can be empty."""
    digits, draw = all_digits(), np.random.default_rng(0)
    rows = draw.integers(0, len(digits.labels), (900, 2))
    empty = draw.random((900, 2)) < 0.2
    images, targets = np.zeros((900, 8, 16, 3), np.uint8), np.zeros((900, 10), np.int64)
    for place in (0, 1):
        shown = ~empty[:, place]
        images[shown, :, 8 * place : 8 * place + 8] = digits.rgb(rows[shown, place])
        targets[np.flatnonzero(shown), digits.labels[rows[shown, place]]] = 1
    return images, targets


@cache
def label_predictions(strength: float = 0.002, labels: int = 10, unknown: float = 0.0) -> LabelPredictions:
    """Return the answers of logistic regressions to 300 scenes; unknown: share of the truth that is unknown."""
    images, targets = scenes()
    features = images[..., 0].reshape(len(images), -1) / 255
    models = [LogisticRegression(C=100 * strength).fit(features[:600], targets[:600, i]) for i in range(labels)]
    answers = np.stack([model.predict_proba(features[600:])[:, 1] for model in models], axis=1)
    truth = targets[600:, :labels].copy()
    truth[np.random.default_rng(1).random(truth.shape) < unknown] = -1
    paths = tuple(f"test/{number:04d}.png" for number in range(300))
    thresholds = np.full(labels, 0.35)
    return LabelPredictions(paths, NAMES[:labels], truth, answers.astype(np.float32), thresholds)


def scene_images() -> np.ndarray:
    """uint8 [300, 8, 16, 3], the images of `label_predictions`."""
    return scenes()[0][600:]
