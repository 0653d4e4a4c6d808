"""An overconfident model of the digits."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.evaluation.predictions import Predictions


@pytest.fixture(scope="session")
def overconfident(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Logits three times too large, and targets drawn as the digits model says: its own probabilities are true."""
    steps = predictions.probabilities.cumsum(axis=1)
    drawn = np.random.default_rng(0).random((len(steps), 1)) * steps[:, -1:]
    return 3 * np.log(predictions.probabilities), (drawn > steps).sum(axis=1)
