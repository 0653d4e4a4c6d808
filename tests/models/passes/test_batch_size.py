"""Batch sizes by the memory of the device."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.models.classifiers import PIXELS, build

GB = 10**9


def test_a_processor_computes_32_images_at_a_time_and_as_many_as_the_caller_asks() -> None:
    from transfercli.models.passes.batch_size import batch_size, forward_batch_size

    model = build().model
    assert batch_size(model) == batch_size(model, "bfloat16") == 32
    assert forward_batch_size(model, 7) == 7


@pytest.mark.parametrize("memory", [16 * GB, 80 * GB])
def test_an_accelerator_gets_the_power_of_two_whose_activations_take_half_of_its_memory(
    monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    from transfercli.models.passes import batch_size as module

    model = build("resnet18").model
    monkeypatch.setattr(module, "accelerator_memory", lambda: memory // 400)
    found, image = module.batch_size(model), module.activation_bytes(model)
    assert found & (found - 1) == 0
    assert found * image <= memory // 800 < 2 * found * image
    assert module.batch_size(model, "bfloat16") == 2 * found
    assert module.forward_batch_size(model, 8) == found
    assert module.forward_batch_size(model, 4096) == 4096


def test_a_batch_has_at_least_one_image_and_at_most_1024(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.models.passes import batch_size as module

    model = build().model
    monkeypatch.setattr(module, "accelerator_memory", lambda: 1)
    assert module.batch_size(model) == 1
    monkeypatch.setattr(module, "accelerator_memory", lambda: 10**15)
    assert module.batch_size(model) == 1024


def test_activations_are_counted_over_the_whole_graph_of_a_nested_model() -> None:
    import keras

    from transfercli.models.passes.batch_size import activation_bytes

    image = keras.Input((4, 4, 3))
    inner = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    outer = keras.Model(image, keras.layers.GlobalAveragePooling2D()(inner(image)))
    assert activation_bytes(outer) == 4 * (48 + 32 + 2 + 32)  # the inner model's output counts inside and outside
    assert activation_bytes(outer, "bfloat16") == activation_bytes(outer) // 2


def test_features_and_predictions_are_the_same_in_the_larger_batches_of_an_accelerator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from transfercli.models.forward import forward
    from transfercli.models.passes import batch_size as module
    from transfercli.models.surgery import cut_below
    from transfercli.reporting import Reporter
    from transfercli.rows import ArrayRows
    from transfercli.transfer.features.prefix import Prefix, compute_features

    classifier, images = build("resnet18"), ArrayRows(np.repeat(PIXELS, 11, axis=0))
    cut = cut_below(classifier, "conv5")

    def computed() -> tuple[int, np.ndarray, np.ndarray]:
        prefix = Prefix(cut, "float32")
        features = dict(compute_features(prefix, images, np.arange(44)[::-1], Reporter()))
        return (
            prefix.batch,
            np.stack([features[row] for row in range(44)]),
            forward(classifier.model, images, 32, Reporter()),
        )

    size, features, logits = computed()
    monkeypatch.setattr(module, "accelerator_memory", lambda: 64 * 2 * module.activation_bytes(cut.prefix))
    larger_size, *larger = computed()
    assert (size, larger_size) == (32, 64)
    np.testing.assert_allclose(larger[0], features, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(larger[1], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "platform, statistics, expected",
    [("cpu", {"bytes_limit": GB}, None), ("gpu", {"bytes_limit": GB}, GB), ("gpu", None, None)],
)
def test_jax_is_asked_how_much_memory_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, platform: str, statistics: dict[str, int] | None, expected: int | None
) -> None:
    import jax

    from transfercli.models.passes import batch_size as module

    device = SimpleNamespace(platform=platform, memory_stats=lambda: statistics)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    monkeypatch.setattr(jax, "process_count", lambda: 1)
    assert module._jax_memory.__wrapped__() == expected
