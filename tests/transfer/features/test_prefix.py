"""The frozen prefix of a classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transfercli.training.phases import Phase


def test_a_prefix_that_was_trained_in_between_is_another_prefix(cached: Any) -> None:
    stages = cached.train(cached.classifier(), [Phase("none", 3, 1e-2), Phase("all", 1, 1e-2), Phase("none", 3, 1e-2)])
    assert (stages.cache.hits, stages.cache.misses) == (0, 2 * 120)


def test_features_of_an_image_are_the_same_bits_whatever_images_are_beside_it(cached: Any) -> None:
    from transfercli.models.surgery import cut_below
    from transfercli.transfer.features.prefix import Prefix

    prefix = Prefix(cut_below(cached.classifier("resnet18"), "conv5"), "float32")
    together = prefix(cached.images[:32])
    assert np.array_equal(together[7], prefix(cached.images[7:8])[0])
    assert np.array_equal(together[3:20], prefix(cached.images[3:20]))


def test_the_difference_of_bfloat16_is_measured_once_and_with_it_nothing_is_computed_again(
    cached: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transfercli.transfer.features.prefix import Prefix

    phase = Phase("none", 9, 1e-2)
    first = cached.stages(cached.classifier(), precision="bfloat16")
    feature_layer = first(phase).feature_layer
    (found,) = first._prefixes.values()
    monkeypatch.setattr(Prefix, "__call__", lambda *_: pytest.fail("a forward pass"))
    again = cached.stages(cached.classifier(), precision="bfloat16")
    assert (again(phase).feature_layer, again.cache.misses) == (feature_layer, 0)
    assert [prefix.precision for prefix in again._prefixes.values()] == [found.precision]


def test_a_first_batch_too_far_from_float32_is_remembered_too(cached: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from transfercli.transfer.features import prefix

    measured: list[float] = []
    monkeypatch.setattr(prefix, "relative_difference", lambda *_: measured.append(1.0) or 1.0)
    for _ in range(2):
        stages = cached.stages(cached.classifier(), precision="bfloat16")
        stages(Phase("none", 9, 1e-2))
        assert [one.precision for one in stages._prefixes.values()] == ["float32"]
    assert measured == [1.0]


def tapped(cached: Any) -> Any:
    from transfercli.config.schema import HeadConfig
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    return build_classifier(Architecture("small_cnn", (32, 32), 3, HeadConfig(taps="stages"), ("a", "b", "c")))


def test_pooled_vectors_beside_a_map_have_the_type_that_the_cache_stores(cached: Any) -> None:
    from transfercli.models.surgery import cut_below
    from transfercli.transfer.features.prefix import Prefix

    cut = cut_below(tapped(cached), "conv3")
    assert Prefix(cut, "bfloat16")(cached.images[:2]).dtype == "bfloat16"
    assert Prefix(cut, "float32")(cached.images[:2]).dtype == "float32"


def test_the_difference_of_several_layers_is_that_of_the_base_s_output(cached: Any) -> None:
    """A head that reads the output alone looks up the same number."""
    from transfercli.models.surgery import cut_after_base
    from transfercli.rows import ArrayRows
    from transfercli.transfer.features.prefix import Prefix, relative_difference

    classifier = tapped(cached)
    cut, images = cut_after_base(classifier), ArrayRows(cached.images[:8])
    *_, last = cut.parts
    exact, rounded = Prefix(cut, "float32")(cached.images[:8]), Prefix(cut, "bfloat16")(cached.images[:8])
    expected = np.linalg.norm((rounded - exact)[:, -last.width :]) / np.linalg.norm(exact[:, -last.width :])
    found = relative_difference(Prefix(cut, "bfloat16"), Prefix(cut, "float32"), images)
    assert found == pytest.approx(expected)
    assert found > 0
