"""Precision of training steps: chosen by counts of the network, and held against float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.backends import tensorflow_only
from tests.listener import Listener
from tests.training.trainers import same, tensors, trainer
from transfercli.config.schema import ComputeConfig, HeadConfig
from transfercli.training.phases import Phase

ALL, HEAD = Phase("all", 1, 1e-3), Phase("none", 1, 1e-3)
pytestmark = tensorflow_only("JAX converts bfloat16 to float32 on a processor")


@pytest.fixture(scope="module")
def build() -> Callable[..., Any]:
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    def classifier(base: str, side: int) -> Any:
        return build_classifier(Architecture(base, (side, side), 3, HeadConfig(), ("a", "b")))

    return classifier


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.training.precision import steps

    monkeypatch.setattr(steps, "processor_has_bfloat16", lambda: True)


def test_large_convolutional_networks_are_fine_tuned_in_bfloat16(build: Any, with_bfloat16: None) -> None:
    from transfercli.training.precision.steps import step_precision

    auto, network = ComputeConfig(), build("vgg16", 64)
    assert step_precision(auto, network, [HEAD, ALL]) == "bfloat16"
    assert step_precision(auto, network, [Phase("block5_conv3", 1, 1e-3)]) == "float32"  # too little of it trains
    assert step_precision(auto, network, [HEAD]) == "float32"
    assert step_precision(auto, network, [ALL], batchnorm_trains=True) == "float32"
    assert step_precision(ComputeConfig(precision="float32"), network, [ALL]) == "float32"


@pytest.mark.parametrize("base, side", [("small_cnn", 32), ("resnet18", 32), ("mobilenetv2", 224)])
def test_small_networks_and_depthwise_convolutions_stay_in_float32(
    build: Any, with_bfloat16: None, base: str, side: int
) -> None:
    from transfercli.training.precision.steps import step_precision

    assert step_precision(ComputeConfig(), build(base, side), [ALL]) == "float32"
    assert step_precision(ComputeConfig(precision="bfloat16"), build(base, side), [ALL]) == "bfloat16"


def test_a_processor_without_bfloat16_trains_in_float32(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.training.precision import steps

    monkeypatch.setattr(steps, "processor_has_bfloat16", lambda: False)
    assert steps.step_precision(ComputeConfig(), build("vgg16", 64), [ALL]) == "float32"


def checked(digits: Any, precision: str) -> Any:
    from dataclasses import replace

    made = trainer(digits, [ALL], precision=precision)
    made.plan = replace(made.plan, checks_precision=True)
    made.reporter = Listener()
    return made


def test_the_first_loss_is_compared_with_float32_and_recorded_once(digits: Any) -> None:
    recorded: list[int] = []
    made = checked(digits, "bfloat16")
    made.precision_checked = lambda: recorded.append(1)
    made.run()
    ((phase, check),) = made.precision_checks.items()
    assert (phase, recorded, made.plan.precision) == (1, [1], "bfloat16")
    assert check["passed"]
    assert 0 < abs(check["loss"] - check["float32"]) <= check["limit"]
    again = checked(digits, "bfloat16")
    again.precision_checks = dict(made.precision_checks)
    again.precision_checked = pytest.fail
    again.run()
    assert same(tensors(made), tensors(again))


def test_a_first_loss_too_far_from_float32_trains_in_float32_to_the_same_bits(
    digits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.training.precision import loss_check

    monkeypatch.setattr(loss_check, "RELATIVE", -1.0)
    made, plain = checked(digits, "bfloat16"), checked(digits, "float32")
    made.run()
    plain.run()
    assert made.plan.precision == "float32"
    assert not made.precision_checks[1]["passed"]
    assert "float32 is used" in made.reporter.warnings[0]
    assert same(tensors(made), tensors(plain))


def test_weights_optimizer_loss_and_statistics_stay_in_float32(digits: Any) -> None:
    """In a step in bfloat16 only what layers compute is in it."""
    import keras

    from transfercli.models.forward import computing_in

    made = trainer(digits, [ALL], "resnet18", precision="bfloat16", fresh=True)
    model = made.begin_phase().model
    made.run()
    assert {str(v.dtype) for v in (*model.trainable_variables, *model.optimizer.variables[1:])} == {"float32"}
    images = made.setup.validation.read(np.arange(32))
    with computing_in("bfloat16", model):
        outputs = model(images, training=True)
        norm = next(one for one in model._flatten_layers() if isinstance(one, keras.layers.BatchNormalization))
        assert norm.compute_dtype == "bfloat16"
        values = 100 + np.random.default_rng(0).normal(0, 0.1, (512, 4, 4, norm.gamma.shape[0])).astype("float32")
        values = np.asarray(keras.ops.cast(keras.ops.cast(values, "bfloat16"), "float32"))
        norm.momentum = 0.0
        norm(keras.ops.cast(values, "bfloat16"), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    np.testing.assert_allclose(np.asarray(norm.moving_mean), values.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(norm.moving_variance), values.var((0, 1, 2)), rtol=1e-2)
