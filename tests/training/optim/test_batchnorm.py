"""Momentum of BatchNorm."""

from __future__ import annotations

import pytest


def test_momentum_is_fitted_to_short_trainings_and_left_alone_in_long_ones() -> None:
    from transfercli.models.classifier import build_base
    from transfercli.training.optim.batchnorm import fit_momentum, momenta_of

    base = build_base("resnet50", (32, 32), 3)
    published = momenta_of(base)
    fit_momentum(published, steps_per_epoch=20, epochs=8)
    assert base.get_layer("conv1_bn").momentum == pytest.approx(1 - 1 / 8)
    fit_momentum(published, steps_per_epoch=5000, epochs=100)  # whatever phases came before
    assert base.get_layer("conv1_bn").momentum == pytest.approx(0.99)
