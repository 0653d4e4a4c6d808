"""Taps: which layers a head reads besides the base's output, and all that is built of such a classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.errors import ConfigError
from transfercli.models.bases import BASES

pytestmark = pytest.mark.usefixtures("small_transformers")

# Base -> side of its images, and its default taps, each with the layer that ends the stage.
EXPECTED: dict[str, tuple[int, dict[str, str]]] = {
    "small_cnn": (32, {"conv1": "conv1", "conv2": "conv2"}),
    "vgg11": (32, {"block2": "block2_1_relu", "block3": "block3_2_relu", "block4": "block4_2_relu"}),
    "resnet18": (64, {"conv2": "conv2_block2_out", "conv3": "conv3_block2_out", "conv4": "conv4_block2_out"}),
    # the activation of an inverted residual block, and not the narrow sum at its end
    "mobilenetv2": (
        64,
        {f"block_{number}": f"block_{number}_depthwise_relu" for number in (5, 12, 15)},
    ),
    "tiny_vit": (64, {"block1": "block1_add2", "block2": "block2_add2"}),
}
HEAVY_EXPECTED = {
    # a dense block, and not the halved transition behind it
    "densenet121": (64, {"conv2": "pool2_relu", "conv3": "pool3_relu", "conv4": "pool4_relu"}),
    "efficientnet_lite0": (
        64,
        {"block3": "block3b_activation", "block5": "block5c_activation", "block6": "block6d_activation"},
    ),
}
# The smallest base of each family: later entries replace earlier ones.
SMALLEST = {row.family: name for name, row in sorted(BASES.items(), key=lambda item: item[1].parameters, reverse=True)}


def built(base: str, side: int = 32, **head: Any):
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    config = HeadConfig(**{"taps": "stages", **head})
    return build_classifier(Architecture(base, (side, side), 3, config, ("a", "b", "c")))


def pixels(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, side, side, 3)).astype("uint8")


SCALES = {"small_cnn": (255, 0), "tiny_vit": (127.5, 1)}  # what divides pixels, and what is subtracted then
CASES = [
    *EXPECTED.items(),
    *(pytest.param(*item, marks=pytest.mark.slow) for item in HEAVY_EXPECTED.items()),
]


@pytest.mark.parametrize("base, expected", CASES)
def test_the_default_taps_are_the_widest_features_of_the_upper_stages(base, expected) -> None:
    from transfercli.models.taps import tap_names, tops_of_stages

    side, layers = expected
    network = BASES[base].build((side, side, 3))
    tops = tops_of_stages(BASES[base], network)
    names = tap_names(BASES[base], network, "stages")
    assert {name: tops[name].name for name in names} == layers


@pytest.mark.slow
@pytest.mark.parametrize("base", SMALLEST.values())
def test_every_family_has_taps_that_can_be_pooled_the_same_in_every_build(base: str) -> None:
    from transfercli.models.taps import tap_names, tap_tensors

    row = BASES[base]
    side = 4 * row.patch if row.patch else max(64, row.minimum)
    found = []
    for _ in range(2):  # automatic names of layers go on counting
        network = row.build((side, side, 3))
        names = tap_names(row, network, "stages")
        found.append([(name, x.shape) for name, x in zip(names, tap_tensors(row, network, names), strict=True)])
    assert found[0] == found[1]
    assert 1 <= len(found[0]) <= 3
    assert {len(shape) for _, shape in found[0]} <= {3, 4}
    assert all(x.shape[1:] != network.output.shape[1:] or len(x.shape) == 3 for x in tap_tensors(row, network, names))


def test_taps_rise_and_are_named_once() -> None:
    assert built("small_cnn", taps=["conv2", "conv1", "conv2"]).taps == ("conv1", "conv2")


@pytest.mark.parametrize(
    "name, message",
    [
        ("convv1", "no stage or layer 'convv1'; did you mean 'conv1'"),
        ("conv3", "is the output of small_cnn, which every head reads"),
        ("input_layer", "has no output that can be pooled"),
    ],
)
def test_a_tap_that_cannot_be_read_is_an_error_that_names_the_stages(name: str, message: str) -> None:
    from transfercli.models.classifier import build_base
    from transfercli.models.taps import tap_names

    network = build_base("small_cnn", (32, 32), 3)
    name = network.layers[0].name if name == "input_layer" else name
    with pytest.raises(ConfigError, match=message) as caught:
        tap_names(BASES["small_cnn"], network, [name])
    assert "conv1, conv2" in caught.value.hint


@pytest.mark.parametrize("base", ["small_cnn", "resnet18", "tiny_vit"])
def test_all_models_of_a_head_that_reads_several_layers_agree(base: str) -> None:
    from transfercli.models.inference_model import build_inference_model
    from transfercli.models.surgery import cut_below
    from transfercli.transfer.phase_builder import upper_model

    side = 64 if base == "tiny_vit" else 32
    classifier, images = built(base, side), pixels(side)
    logits = classifier.model.predict_on_batch(images)
    for unfreeze in ("none", list(classifier.stages)[-1], 3):
        cut = cut_below(classifier, unfreeze)
        found = upper_model(cut).predict_on_batch(cut.prefix.predict_on_batch(images))
        assert np.allclose(found, logits, atol=1e-5), unfreeze
    probabilities = classifier.predictor.predict_on_batch(images)
    assert np.allclose(build_inference_model(classifier).predict_on_batch(images), probabilities, atol=1e-5)


@pytest.mark.parametrize("normalisation", ["none", "length", "root"])
def test_the_probe_normalises_features_as_the_head_does(normalisation: str) -> None:
    from transfercli.models.normalised import normalised
    from transfercli.models.surgery import cut_after_base

    classifier, images = built("small_cnn", normalisation=normalisation), pixels(32)
    cut = cut_after_base(classifier)
    assert [part.width for part in cut.parts] == [32, 64, 64]
    features = normalised(cut.prefix.predict_on_batch(images), [part.width for part in cut.parts], normalisation)
    kernel, bias = (np.asarray(value) for value in classifier.head.get_layer("logits").weights)
    assert np.allclose(features @ kernel + bias, classifier.model.predict_on_batch(images), atol=1e-5)


def test_the_map_of_a_heat_map_leads_to_the_logits_with_the_layers_below_it() -> None:
    from transfercli.models.explanations.grad_cam_cut import cut_for_grad_cam

    classifier, images = built("small_cnn"), pixels(32)
    cut = cut_for_grad_cam(classifier)
    found = cut.above(cut.below(images, training=False), training=False)
    assert np.allclose(found, classifier.model.predict_on_batch(images), atol=1e-5)
    maps, gradients = cut.with_gradient(images, np.array([0, 1]))
    assert maps.shape == gradients.shape
    assert np.abs(gradients).max() > 0


@pytest.mark.parametrize("base", ["small_cnn", "tiny_vit"])
def test_the_layers_and_the_arrays_give_the_score_the_same_features_of_taps(base: str) -> None:
    import keras

    from transfercli.models.surgery import cut_after_base
    from transfercli.models.unknown.features import score_feature_layers, score_features
    from transfercli.models.unknown.score import UnknownScore

    side = 64 if base == "tiny_vit" else 32
    classifier, images = built(base, side), pixels(side)
    cut = cut_after_base(classifier)
    pooled = cut.prefix.predict_on_batch(images)
    features = score_features(classifier.head, pooled, taps=True)
    widths = [part.width for part in cut.parts[:-1]]
    assert features.shape == (2, sum(widths))
    np.testing.assert_allclose(np.square(features).sum(axis=1), len(widths), rtol=1e-4)  # each has the length 1
    score = UnknownScore("", 0.0, {}, taps=True)
    layers = score_feature_layers(classifier.head, classifier.trunk.outputs, score)
    beside_the_head = keras.Model(classifier.trunk.input, [classifier.head(classifier.trunk.outputs), layers])
    _, found = beside_the_head.predict_on_batch(images.astype("float32") / SCALES[base][0] - SCALES[base][1])
    np.testing.assert_allclose(found, features, atol=1e-4)
    last = score_features(classifier.head, pooled, taps=False)
    np.testing.assert_array_equal(last, pooled[:, sum(widths) :])
