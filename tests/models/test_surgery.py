"""Cutting a classifier: the two sides are the whole, and nothing that trains is below the cut."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig

SIZES = {"small_cnn": 32, "vgg16": 32, "resnet18": 32, "resnet50": 32, "densenet121": 32, "mobilenetv2": 32}
SIZES |= {"inceptionv3": 75, "efficientnetb0": 32, "convnexttiny": 32, "nasnetmobile": 32}
SIZES |= {"efficientnet_lite0": 32, "mobilenetv3small_timm": 32, "mobilenetv4_conv_small": 32}
SIZES |= {"tiny_vit": 64, "tiny_vit_registers": 64}
pytestmark = pytest.mark.usefixtures("small_transformers")
HEAVY = (
    "densenet121",
    "inceptionv3",
    "efficientnetb0",
    "convnexttiny",
    "nasnetmobile",
    "efficientnet_lite0",
    "mobilenetv3small_timm",
    "mobilenetv4_conv_small",
)  # to build
BASES = [pytest.param(base, marks=[pytest.mark.slow] * (base in HEAVY)) for base in SIZES]


def built(base: str, **head):
    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    size = SIZES[base]
    return build_classifier(Architecture(base, (size, size), 3, HeadConfig(**head), ("a", "b", "c")))


def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3)).astype("uint8")


@pytest.mark.parametrize("base", BASES)
def test_what_is_below_and_above_a_cut_is_the_whole_classifier(base: str) -> None:
    from transfercli.models.surgery import cut_below
    from transfercli.transfer.phase_builder import upper_model

    classifier, images = built(base), pixels(SIZES[base])
    whole = classifier.model.predict_on_batch(images)
    for unfreeze in ("none", list(classifier.stages)[-1], 3):
        cut = cut_below(classifier, unfreeze)
        found = upper_model(cut).predict_on_batch(cut.prefix.predict_on_batch(images))
        assert np.allclose(found, whole, atol=1e-5), unfreeze


@pytest.mark.parametrize("base", BASES)
def test_no_layer_that_trains_is_below_the_cut(base: str) -> None:
    from transfercli.models.surgery import cut_below
    from transfercli.models.trainable.freezing import freeze_below

    classifier = built(base)
    for unfreeze in ("none", *classifier.stages, 5):
        cut = cut_below(classifier, unfreeze)
        if cut is not None:
            freeze_below(classifier, unfreeze)
            assert not cut.prefix.trainable_variables, unfreeze


@pytest.mark.parametrize(
    "base, unfreeze, last_layer",
    [
        ("resnet50", "conv5", "conv4_block6_out"),
        ("resnet50", "conv5_block3_2_conv", "conv5_block2_out"),  # inside a residual block: below its shortcut
        ("vgg16", "block5_conv3", "block5_conv2"),
        ("densenet121", "conv5", "pool4_pool"),
        ("resnet50", "conv5_block3_out", "pool"),  # nothing above it has weights
        ("tiny_vit", "block3", "block2_add2"),
        ("tiny_vit", "block3_hidden", "block3_add1"),
        ("tiny_vit", "block2", "block1_add2"),
        ("tiny_vit", "block1_query", "sequence"),
        ("tiny_vit", 1, "block3_add2"),  # the LayerNorm above the last block
    ],
)
def test_the_cut_is_at_the_next_single_tensor_below(base: str, unfreeze: str, last_layer: str) -> None:
    from transfercli.models.surgery import cut_below

    assert cut_below(built(base), unfreeze).last_layer == last_layer


def test_nothing_is_cut_where_everything_trains() -> None:
    from transfercli.models.surgery import cut_below

    assert cut_below(built("small_cnn"), "all") is None


def test_training_above_a_cut_trains_the_classifier() -> None:
    import keras

    from transfercli.models.surgery import cut_below
    from transfercli.models.trainable.freezing import freeze_below
    from transfercli.transfer.phase_builder import upper_model

    classifier, images = built("small_cnn"), pixels(32)
    freeze_below(classifier, "conv3")
    cut = cut_below(classifier, "conv3")
    upper = upper_model(cut)
    upper.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    before = classifier.model.predict_on_batch(images)
    upper.train_on_batch(cut.prefix.predict_on_batch(images), np.array([0, 1]))
    after = classifier.model.predict_on_batch(images)
    assert not np.allclose(before, after, atol=1e-4)
    assert np.allclose(upper.predict_on_batch(cut.prefix.predict_on_batch(images)), after, atol=1e-5)


def cells_that_read_two_before():
    """Return a classifier whose base is built as a NASNet is: no single tensor separates its cells."""
    import keras
    from keras import layers

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), name="image")
    before = layers.Conv2D(8, 3, 2, activation="relu", name="stem")(image)
    last = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv1")(before)
    for number in range(2, 6):
        joined = layers.Add(name=f"add{number}")([before, last])
        before, last = last, layers.Conv2D(8, 3, padding="same", activation="relu", name=f"conv{number}")(joined)
    base = keras.Model(image, last, name="cells")
    return build_classifier(Architecture("small_cnn", (32, 32), 3, HeadConfig(), ("a", "b", "c")), base)


def test_two_tensors_pass_a_cut_and_training_on_them_gives_the_same_weights() -> None:
    import keras

    from transfercli.models.surgery import cut_below
    from transfercli.models.trainable.freezing import freeze_below
    from transfercli.transfer.phase_builder import upper_model

    images, targets, trained = pixels(32), np.array([0, 1]), []
    for cached in (False, True):
        classifier = cells_that_read_two_before()
        freeze_below(classifier, "conv4")
        cut = cut_below(classifier, "conv4")
        assert (cut.last_layer, cut.feature_shape) == ("add4", (1, 2 * 15 * 15 * 8))
        model = upper_model(cut) if cached else classifier.model
        inputs = cut.prefix.predict_on_batch(images) if cached else images
        model.compile(keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        for _ in range(3):
            model.train_on_batch(inputs, targets)
        trained.append(classifier.model.get_weights())
    start = cells_that_read_two_before().model.get_weights()
    assert any(not np.array_equal(before, after) for before, after in zip(start, trained[0], strict=True))
    for uncached, cached in zip(*trained, strict=True):
        np.testing.assert_allclose(cached, uncached, atol=1e-7)
