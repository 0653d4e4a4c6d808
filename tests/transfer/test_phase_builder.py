"""A frozen layer runs once per image, and nothing else changes by it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transfer.tensors import furthest
from transfercli.errors import ConfigError
from transfercli.training.phases import Phase

PHASES = [Phase("none", 12, 1e-2), Phase("conv3", 12, 1e-3)]


@pytest.mark.parametrize("head", [{}, {"hidden": [16], "dropout": 0.5}, {"pooling": "flatten"}])
def test_trained_on_cached_features_the_weights_are_those_of_training_without(
    cached: Any, uncached: Any, head: dict[str, Any]
) -> None:
    one, other = cached.classifier(**head), uncached.classifier(**head)
    stages = cached.train(one, PHASES)
    uncached.train(other, PHASES)
    assert stages.cache.misses == 2 * 120
    assert furthest(one, other) < 1e-5


@pytest.mark.usefixtures("small_transformers")
def test_a_transformer_trains_the_same_with_and_without_cached_tokens(cached: Any, uncached: Any) -> None:
    phases = [Phase("none", 8, 1e-3), Phase("block3", 8, 1e-4)]
    one, other = (world.classifier("tiny_vit_registers", pooling="token_avg") for world in (cached, uncached))
    stages = cached.train(one, phases)
    uncached.train(other, phases)
    assert stages.cache.misses == 2 * 120
    assert furthest(one, other) < 1e-4


@pytest.mark.usefixtures("small_transformers")
def test_cached_tokens_are_in_bfloat16_and_their_pooled_vector_is_in_float32(cached: Any) -> None:
    from transfercli.models.surgery import cut_below

    classifier = cached.classifier("tiny_vit", pooling="token")
    stages = cached.stages(classifier, precision="bfloat16")
    dtypes = {stage: stages.prefix_of(cut_below(classifier, stage)).dtype for stage in ("none", "block3")}
    assert dtypes == {"none": "float32", "block3": "bfloat16"}
    assert stages.prefix_of(cut_below(classifier, "block3")).row_bytes == 5 * 24 * 2  # 2 x 2 patches and a class token


@pytest.mark.slow
def test_a_residual_base_with_batchnorm_trains_the_same_with_and_without(cached: Any, uncached: Any) -> None:
    phases = [Phase("conv5", 6, 1e-4)]
    one, other = cached.classifier("resnet18"), uncached.classifier("resnet18")
    stages = cached.train(one, phases)
    uncached.train(other, phases)
    assert stages.cache.misses == 120
    assert furthest(one, other) < 1e-4


def test_mixed_images_are_not_cached_and_required_features_are_then_refused(cached: Any) -> None:
    mixing = {"layers": [{"MixUp": {"alpha": 0.2}}]}
    stage = cached.stages(cached.classifier(), augmentation=mixing)(Phase("none", 9, 1e-2))
    assert stage.feature_layer == ""
    with pytest.raises(ConfigError, match="mixes images"):
        cached.stages(cached.classifier(), augmentation=mixing, required=True)(Phase("none", 9, 1e-2))
