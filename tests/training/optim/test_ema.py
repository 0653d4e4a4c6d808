"""The moving average of weights."""

from __future__ import annotations

import numpy as np

from tests.training.trainers import tensors, trainer
from transfercli.config.schema import (
    OptimizerConfig,
)
from transfercli.training.phases import Phase


def test_the_moving_average_is_judged_and_kept_and_the_weights_train_on(digits) -> None:
    kept = []
    job = trainer(
        digits,
        [Phase("all", 2, 1e-2)],
        keep=lambda _, checkpoint, __: kept.append(checkpoint),
        optimizer=OptimizerConfig(ema=0.99),
    )
    start = tensors(job)["head/logits/kernel"]
    job.run()
    first, second = (
        next(v for name, v in one.state.items() if name.startswith("raw/") and v.shape == start.shape) for one in kept
    )
    average = kept[-1].model["head/logits/kernel"]
    assert np.abs(average - start).max() < 0.5 * np.abs(second - start).max()  # it lags behind
    assert np.abs(second - start).max() > 1.2 * np.abs(first - start).max()  # which do not fall back to it
    assert np.array_equal(average, tensors(job)["head/logits/kernel"])
