"""Devices that compute in bfloat16 faster than in float32."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

GPU = {"platform": "gpu"}


@pytest.mark.parametrize(
    "device, expected",
    [
        ({"platform": "cpu"}, False),
        (GPU | {"compute_capability": "7.5"}, False),
        (GPU | {"compute_capability": "8.0"}, True),
        (GPU | {"compute_capability": "12.0"}, True),
        (GPU | {"compute_capability": "gfx942"}, True),
        ({"platform": "tpu"}, True),
    ],
)
def test_jax_asks_the_device_not_the_processor(
    monkeypatch: pytest.MonkeyPatch, device: dict[str, str], expected: bool
) -> None:
    import keras

    from transfercli.config.schema import ComputeConfig
    from transfercli.models import placement
    from transfercli.training.precision import native

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(placement, "jax_device", lambda: SimpleNamespace(**device))
    monkeypatch.setattr(native, "processor_has_bfloat16", lambda: not expected)
    assert native.native_bfloat16() is expected
    assert native.feature_precision(ComputeConfig()) == ("bfloat16" if expected else "float32")
    assert native.feature_precision(ComputeConfig(precision="float32")) == "float32"


@pytest.mark.parametrize(
    "gpus, processor, expected", [([(7, 5)], True, False), ([(8, 6)], False, True), ([], True, True)]
)
def test_tensorflow_asks_the_gpu_and_without_one_the_processor(
    monkeypatch: pytest.MonkeyPatch, gpus: list[tuple[int, int]], processor: bool, expected: bool
) -> None:
    import keras

    tf: Any = pytest.importorskip("tensorflow")
    from transfercli.training.precision import native

    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda _kind: gpus)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": gpu})
    monkeypatch.setattr(native, "processor_has_bfloat16", lambda: processor)
    assert native.native_bfloat16() is expected
