"""The moving average of weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.trainers import tensors, trainer
from transfercli.config.schema import OptimizerConfig
from transfercli.training.optim.ema import decay_after
from transfercli.training.phases import Phase


def trajectory(digits, epochs: int, ema: float, **optimizer):
    """Return the start, and the training weights and averages of the head's kernel after each epoch."""
    kept = []
    job = trainer(
        digits,
        [Phase("all", epochs, 1e-2)],
        keep=lambda _, checkpoint, __: kept.append(checkpoint),
        optimizer=OptimizerConfig(ema=ema, **optimizer),
    )
    start = tensors(job)["head/logits/kernel"]
    job.run()
    weights = [
        next(v for name, v in one.state.items() if name.startswith("raw/") and v.shape == start.shape) for one in kept
    ]
    averages = [one.model["head/logits/kernel"] for one in kept]
    assert np.array_equal(averages[-1], tensors(job)["head/logits/kernel"])
    return start, weights, averages


def test_the_moving_average_is_judged_and_kept_and_the_weights_train_on(digits) -> None:
    start, (first, second), (_, average) = trajectory(digits, 2, 0.99)
    assert np.abs(average - start).max() < 0.95 * np.abs(second - start).max()  # it lags behind
    assert np.abs(second - start).max() > 1.2 * np.abs(first - start).max()  # which do not fall back to it


def test_the_average_starts_with_the_first_update_and_warms_its_decay_up(digits) -> None:
    """With one update an epoch, the average follows from the weights after each epoch."""
    _, weights, averages = trajectory(digits, 4, 0.3, accumulate=4)
    expected = weights[0]
    for updates, (value, average) in enumerate(zip(weights, averages, strict=True)):
        decay = [0.0, 2 / 11, 3 / 12, 0.3][updates]  # min(0.3, (1 + t) / (10 + t)) after t updates
        expected = decay * expected + (1 - decay) * value
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-7)


def test_a_long_average_over_few_updates_does_not_keep_the_first_weights(digits) -> None:
    start, weights, averages = trajectory(digits, 6, 0.9999)
    assert np.abs(weights[-1] - averages[-1]).max() < 0.5 * np.abs(weights[-1] - start).max()


def test_the_decay_rises_to_its_limit() -> None:
    assert [float(decay_after(t, 0.9)) for t in (1, 10)] == pytest.approx([2 / 11, 11 / 20])
    assert float(decay_after(1000, 0.9)) == pytest.approx(0.9)
    assert float(decay_after(0, 0.9)) == 0.0
