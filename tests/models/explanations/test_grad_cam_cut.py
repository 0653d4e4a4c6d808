"""The last map of a classifier, and the gradient of a class's score by it."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.models.bases import BASES

FAST = ("small_cnn", "resnet18", "mobilenet")
# What a test can hold in memory and time; the others are larger sisters of these.
LARGE = {"NASNetLarge", "ConvNeXtXLarge", "ConvNeXtLarge", "EfficientNetV2L", "EfficientNetB7", "EfficientNetB6"}
SLOW = [name for name in BASES if name not in FAST and name not in {large.lower() for large in LARGE}]


def built(base: str, side: int = 0, classes: int = 3, **head):
    import keras

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(0)
    side = side or max(32, BASES[base].minimum)
    labels = tuple("abcdef"[:classes])
    return build_classifier(Architecture(base, (side, side), 3, HeadConfig(**head), labels))


def pixels(classifier, count: int = 2) -> np.ndarray:
    shape = (count, *classifier.model.input.shape[1:])
    return np.random.default_rng(0).integers(0, 256, shape).astype("uint8")


def check(base: str) -> None:
    from transfercli.models.explanations.grad_cam_cut import MIN_MAP_SIZE, cut_for_grad_cam

    classifier = built(base)
    images = pixels(classifier, 1)
    cut = cut_for_grad_cam(classifier)
    maps, gradients = cut.with_gradient(images, np.array([1]))
    assert maps.shape == gradients.shape
    assert min(maps.shape[1:3]) >= MIN_MAP_SIZE
    assert np.isfinite(gradients).all()
    assert gradients.any()
    whole = classifier.model.predict_on_batch(images)
    assert np.allclose(np.asarray(cut.above(maps, training=False)), whole, atol=1e-4)


@pytest.mark.parametrize("base", FAST)
def test_a_base_is_cut_at_a_map_from_which_the_same_answer_follows(base: str) -> None:
    check(base)


@pytest.mark.slow
@pytest.mark.parametrize("base", SLOW)
def test_every_base_is_cut_at_a_map_from_which_the_same_answer_follows(base: str) -> None:
    import keras

    keras.backend.clear_session()
    check(base)


@pytest.mark.parametrize(
    "base, side, layer, shape",
    [
        ("small_cnn", 32, "conv3", (4, 4, 64)),
        ("vgg16", 64, "block5_conv3", (4, 4, 512)),  # behind it is pooling
        ("vgg16", 32, "block4_conv3", (4, 4, 512)),  # the last block's maps are 2 x 2
        ("resnet18", 128, "conv5_block2_out", (4, 4, 512)),
        ("resnet18", 32, "conv3_block2_out", (4, 4, 128)),
    ],
)
def test_the_map_is_the_last_before_pooling_that_is_at_least_4_by_4(base, side, layer, shape) -> None:
    from transfercli.models.explanations.grad_cam_cut import cut_for_grad_cam

    cut = cut_for_grad_cam(built(base, side))
    assert cut.layer == layer
    assert tuple(cut.below.output.shape[1:]) == shape


@pytest.mark.parametrize(
    "head",
    [{"pooling": "avg"}, {"pooling": "max"}, {"pooling": "flatten", "hidden": [8]}, {"output": "sigmoid"}],
    ids=lambda head: "-".join(map(str, head.values())),
)
def test_the_gradient_is_that_of_finite_differences(head) -> None:
    from transfercli.models.explanations.grad_cam_cut import cut_for_grad_cam

    classes = 2 if head.get("output") == "sigmoid" else 3
    classifier = built("small_cnn", classes=classes, **head)
    cut = cut_for_grad_cam(classifier)
    wanted = np.array([1, 0])
    maps, gradients = cut.with_gradient(pixels(classifier), wanted)
    # Along the gradient, as differences are largest there, and short, as a ReLU has a kink.
    direction = gradients * (1e-4 * np.abs(maps).max() / np.abs(gradients).max())

    def scores(values: np.ndarray) -> np.ndarray:
        logits = np.asarray(cut.above(values, training=False), dtype=np.float64)
        logits = np.concatenate([-logits, logits], axis=1) if logits.shape[1] == 1 else logits
        return logits[[0, 1], wanted]

    expected = scores(maps + direction) - scores(maps - direction)
    found = 2 * (gradients * direction).sum(axis=(1, 2, 3), dtype=np.float64)
    assert np.allclose(found, expected, rtol=0.02)


def test_dropout_is_off() -> None:
    from transfercli.models.explanations.grad_cam_cut import cut_for_grad_cam

    classifier = built("small_cnn", dropout=0.5)
    cut, images = cut_for_grad_cam(classifier), pixels(classifier)
    first, second = (cut.with_gradient(images, np.array([0, 1]))[1] for _ in range(2))
    assert (first == second).all()
