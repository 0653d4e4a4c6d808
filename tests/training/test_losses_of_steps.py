"""Losses that are read while later steps are under way."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("in_flight", [0, 2, 9])
def test_every_loss_is_reported_in_order_however_late(in_flight: int) -> None:
    from transfercli.training.losses_of_steps import LossesOfSteps

    reported: list[tuple[int, float]] = []
    losses = LossesOfSteps(_model(), lambda *step: reported.append(step), in_flight)
    losses.on_train_begin()
    for step in range(5):
        losses.on_train_batch_end(step, {"loss": step / 2})
        assert len(reported) == max(0, step + 1 - in_flight)
    losses.on_epoch_end(0, {"loss": 1.0})
    assert reported == [(step, step / 2) for step in range(5)]


def _model():
    import keras

    inputs = keras.Input((1,))
    return keras.Model(inputs, inputs)
