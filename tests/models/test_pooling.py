"""Pooling of maps and of tokens to one vector, and the features of images."""

from __future__ import annotations

import numpy as np
import pytest

from tests.models.classifiers import PIXELS, build
from tests.models.transformers import ROWS
from transfercli.config.schema import HeadConfig
from transfercli.errors import ConfigError
from transfercli.models.bases import BASES

pytestmark = pytest.mark.usefixtures("small_transformers")

TOKENS = {
    "token": lambda tokens, _: tokens[:, 0],
    "avg": lambda tokens, prefix: tokens[:, prefix:].mean(axis=1),
    "max": lambda tokens, prefix: tokens[:, prefix:].max(axis=1),
    "token_avg": lambda tokens, prefix: np.concatenate([tokens[:, 0], tokens[:, prefix:].mean(axis=1)], axis=1),
    "flatten": lambda tokens, _: tokens.reshape(len(tokens), -1),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype("uint8")


def transformer(name: str = "tiny_vit_registers", **head):
    import keras

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(0)
    return build_classifier(Architecture(name, (64, 64), 3, HeadConfig(**head), ("a", "b", "c")))


@pytest.mark.parametrize("pooling", TOKENS)
@pytest.mark.parametrize("name", ROWS)
def test_tokens_are_pooled_without_those_that_stand_for_no_patch(name: str, pooling: str) -> None:
    from transfercli.models.surgery import cut_after_base

    classifier = transformer(name, pooling=pooling)
    cut = cut_after_base(classifier)
    pixels = IMAGES.astype("float32") / 127.5 - 1
    tokens = np.asarray(classifier.base(pixels))
    assert tokens.shape == (3, BASES[name].prefix_tokens + 16, 24)
    pooled = cut.prefix.predict_on_batch(IMAGES)
    np.testing.assert_allclose(pooled, TOKENS[pooling](tokens, BASES[name].prefix_tokens), atol=1e-5)
    np.testing.assert_allclose(cut.top.predict_on_batch(pooled), classifier.model.predict_on_batch(IMAGES), atol=1e-5)


def test_every_pooling_of_a_base_has_cached_features_of_its_own() -> None:
    from transfercli.models.surgery import cut_after_base

    keys = [cut_after_base(transformer(pooling=pooling)).key for pooling in TOKENS]
    keys += [cut_after_base(build(pooling=pooling)).key for pooling in ("avg", "max", "flatten")]
    assert len(set(keys)) == len(keys)


def test_features_of_a_map_that_were_cached_by_an_earlier_version_are_found() -> None:
    from transfercli.models.surgery import cut_after_base

    assert cut_after_base(build(pooling="avg")).key == "small_cnn, whole, GlobalAveragePooling2D"
    assert cut_after_base(build(pooling="flatten")).key == "small_cnn, whole, Flatten"


@pytest.mark.parametrize("pooling", TOKENS)
def test_the_layers_and_the_arrays_give_the_same_features(pooling: str) -> None:
    import keras

    from transfercli.models.pooling import feature_layers, features_of_pooled
    from transfercli.models.surgery import cut_after_base

    classifier = transformer(pooling=pooling)
    rows = cut_after_base(classifier).prefix.predict_on_batch(IMAGES)
    features = features_of_pooled(classifier.head, rows)
    assert (features.shape, features.dtype) == ((3, 48 if pooling == "token_avg" else 24), np.float32)
    output = feature_layers(classifier.head, classifier.base.output)
    model = keras.Model(classifier.base.input, [classifier.head(classifier.base.output), output])
    _, by_layers = model.predict_on_batch(IMAGES.astype("float32") / 127.5 - 1)
    np.testing.assert_allclose(features, by_layers, atol=1e-5)


def test_a_flattened_map_is_averaged_over_its_places_and_an_average_stays() -> None:
    from transfercli.models.pooling import features_of_pooled

    flat, plain = build(pooling="flatten"), build(pooling="avg")
    maps = np.asarray(flat.base(PIXELS.astype("float32")))
    pooled = features_of_pooled(flat.head, maps.reshape(len(maps), -1))
    assert (pooled.shape, pooled.dtype) == ((4, 64), np.float32)
    np.testing.assert_allclose(pooled, maps.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(features_of_pooled(plain.head, pooled), pooled)


@pytest.mark.parametrize("pooling", ["token", "token_avg"])
def test_a_map_has_no_class_token(pooling: str) -> None:
    with pytest.raises(ConfigError, match=f"model.head.pooling: {pooling} is the class token .* has none") as caught:
        build(pooling=pooling)
    assert "avg, max or flatten" in caught.value.hint


@pytest.mark.parametrize("taps", [[], ["block1"]], ids=["last", "taps"])
@pytest.mark.parametrize("pooling", ["avg", "token", "token_avg"])
def test_a_mean_of_patches_stays_in_float32(pooling: str, taps: list[str]) -> None:
    import keras

    from transfercli.models.forward import computing_in
    from transfercli.models.surgery import cut_after_base

    prefix = cut_after_base(transformer(pooling=pooling, taps=taps)).prefix
    with computing_in("bfloat16", prefix):
        assert keras.backend.standardize_dtype(prefix(IMAGES).dtype) == "float32"
        policies = {layer.name: layer.compute_dtype for layer in prefix.get_layer("frozen").layers}
    pools = {name: dtype for name, dtype in policies.items() if "pool" in name}
    assert set(pools.values()) == {"float32"}
    assert any(name.startswith("tap1_") for name in pools) == bool(taps)
