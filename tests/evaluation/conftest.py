"""Real digits, classified by a real model that makes real mistakes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.digits import all_digits
from transfercli.evaluation.predictions import Predictions

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _classified(classes: int) -> tuple[Predictions, np.ndarray]:
    digits = all_digits()
    order = np.random.default_rng(0).permutation(digits.rows_of(classes))
    train, test = order[: 30 * classes], order[30 * classes : 30 * classes + 600]
    model = LogisticRegression(C=1e-3, max_iter=1000).fit(digits.features[train], digits.labels[train])
    probabilities = model.predict_proba(digits.features[test]).astype(np.float32)
    paths = tuple(f"test/{NAMES[digits.labels[i]]}/{i:04d}.png" for i in test)
    return Predictions(paths, NAMES[:classes], digits.labels[test], probabilities), digits.rgb(test)


@pytest.fixture(scope="session")
def predictions() -> Predictions:
    """600 images of ten classes."""
    return _classified(10)[0]


@pytest.fixture(scope="session")
def two_digits() -> Predictions:
    """Images of two classes."""
    return _classified(2)[0]


@pytest.fixture(scope="session")
def digit_images() -> np.ndarray:
    """uint8 [600, 8, 8, 3], the images of `predictions`."""
    return _classified(10)[1]


@pytest.fixture(scope="session")
def make() -> Callable[..., Predictions]:
    """Predictions from targets and predicted classes, all equally sure."""

    def make_predictions(
        targets: list[int],
        predicted: list[int],
        classes: int = 3,
        confidence: float = 0.9,
        labels: tuple[str, ...] = (),
    ) -> Predictions:
        probabilities = np.full((len(targets), classes), (1 - confidence) / max(classes - 1, 1))
        probabilities[np.arange(len(targets)), predicted] = confidence
        names = labels or tuple(f"class {number}" for number in range(classes))
        return Predictions(tuple(f"{i}.png" for i in range(len(targets))), names, np.asarray(targets), probabilities)

    return make_predictions
