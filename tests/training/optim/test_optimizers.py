"""Optimizers, and the penalties on weights."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig, OptimizerConfig, RegularizationConfig
from transfercli.training.optim.optimizers import OPTIMIZERS, build_optimizer, regularize


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_the_config_s_values(name: str) -> None:
    optimizer = build_optimizer(OptimizerConfig(name=name, learning_rate=0.25, weight_decay=0.5), 0.25)
    assert type(optimizer).__name__.lower() == name
    assert float(optimizer.learning_rate) == 0.25
    assert optimizer.weight_decay == 0.5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_slowed_variable_moves_at_its_factor_of_the_rate(name: str) -> None:
    import keras

    from transfercli.training.optim.optimizers import scale_learning_rates

    variables = [keras.Variable(np.ones(3, "float32")) for _ in range(2)]
    optimizer = build_optimizer(OptimizerConfig(name=name), 0.1)
    optimizer.build(variables)
    scale_learning_rates(optimizer, [1.0, 0.25])
    gradient = keras.ops.ones(3)
    optimizer.apply([gradient, gradient], variables)
    fast, slow = (1 - keras.ops.convert_to_numpy(variable) for variable in variables)
    assert np.allclose(slow, 0.25 * fast, rtol=1e-5)
    assert (fast > 0).all()


def test_penalties_stand_on_the_kernels_that_train_and_nowhere_else() -> None:
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier
    from transfercli.models.trainable.freezing import freeze_below

    model = build_classifier(Architecture("small_cnn", (32, 32), 3, HeadConfig(), ("a", "b")))
    freeze_below(model, "conv3")
    regularize(model.model, RegularizationConfig(l1=0.1, l2=0.01))
    kernels = [v for v in model.model.trainable_variables if v.name == "kernel"]
    expected = sum(0.1 * np.abs(k).sum() + 0.01 * (np.asarray(k) ** 2).sum() for k in map(np.asarray, kernels))
    assert len(kernels) == 2
    assert float(sum(model.model.losses)) == pytest.approx(expected, rel=1e-4)
    regularize(model.model, RegularizationConfig())
    assert model.model.losses == []
