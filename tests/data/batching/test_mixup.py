"""MixUp and CutMix: what they make of pixels they make of targets, and nothing else decides it but the key."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.augment import Augment, build
from transfercli.data.batching.mixup import MIXERS, MixUp

TARGETS = np.arange(12, dtype=np.int32) % 3


@pytest.fixture(scope="module")
def flat() -> np.ndarray:
    """Images of one brightness each, 0 for class 0, 100 for class 1, 200 for class 2."""
    return np.broadcast_to((TARGETS * 100).astype(np.uint8)[:, None, None, None], (12, 20, 30, 3)).copy()


def mixed(name: str, images: np.ndarray, key: tuple[int, ...] = (0, 1, 2), **given: float) -> tuple[np.ndarray, ...]:
    augment = build(AugmentationConfig(layers=[{name: given}]), classes=3)
    assert augment is not None
    return augment.mix(images, TARGETS, key)


@pytest.mark.parametrize("name", MIXERS)
def test_targets_are_mixed_as_the_pixels_are(name: str, flat: np.ndarray) -> None:
    images, targets = mixed(name, flat, alpha=1.0)
    assert (images.dtype, targets.dtype) == (np.uint8, np.float32)
    assert images.shape == flat.shape
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(images.mean((1, 2, 3)), targets @ [0, 100, 200], atol=0.6)
    assert (targets.max(axis=1) < 1).any()


def test_cutmix_pastes_boxes_of_whole_pixels_and_mixup_does_not(flat: np.ndarray) -> None:
    cut = mixed("CutMix", flat)[0]
    assert set(np.unique(cut)) <= {0, 100, 200}
    for image in cut[..., 0]:
        (own,) = set(np.unique(image)) if len(np.unique(image)) == 1 else (None,)
        if own is None:
            values, sizes = np.unique(image, return_counts=True)
            rows, columns = np.nonzero(image == values[sizes.argmin()])
            pasted = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            assert pasted == sizes.min() or len(values) == 2  # a box, or what is left around one
    assert set(np.unique(mixed("MixUp", flat, alpha=5.0)[0])) - {0, 100, 200}


@pytest.mark.parametrize("name", MIXERS)
def test_the_key_alone_decides(name: str, flat: np.ndarray) -> None:
    first = mixed(name, flat)
    mixed(name, flat, (5, 5, 5))
    again = mixed(name, flat)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert not np.array_equal(first[1], mixed(name, flat, (0, 1, 3))[1])


def test_the_probability_is_that_of_an_image(flat: np.ndarray) -> None:
    images, targets = mixed("MixUp", flat, alpha=5.0, probability=0.0)
    assert np.array_equal(images, flat)
    assert np.array_equal(targets, np.eye(3)[TARGETS])
    rows = [mixed("MixUp", flat, (0, 0, n), alpha=5.0, probability=0.3)[1] for n in range(60)]
    changed = np.mean(np.concatenate(rows).max(axis=1) < 1)
    assert 0.12 < changed < 0.28  # 0.3, less the third whose partner is of the same class


def test_mixers_stand_among_layers_of_keras_in_their_order(digit: Callable[[int], Image.Image]) -> None:
    real = np.stack([np.asarray(digit(n).convert("RGB")) for n in range(12)])
    inverted = {"RandomInvert": {"factor": [1.0, 1.0]}}
    before = Augment([inverted, {"MixUp": {"alpha": 1.0}}], 3).mix(real, TARGETS, (1, 1, 1))
    plain = Augment([{"RandomInvert": {"factor": [0.0, 0.0]}}, {"MixUp": {"alpha": 1.0}}], 3).mix(
        real, TARGETS, (1, 1, 1)
    )
    assert np.abs(before[0].astype(int) - (255 - plain[0].astype(int))).max() <= 1
    assert np.array_equal(before[1], plain[1])


def test_images_alone_cannot_be_mixed(flat: np.ndarray) -> None:
    augment = Augment([{"MixUp": {}}], 3)
    assert augment.soft
    with pytest.raises(ValueError, match="call mix"):
        augment(flat, (0, 0, 0))
    assert not Augment([{"RandomFlip": {}}]).soft


def test_label_vectors_mix_and_a_label_unknown_to_one_of_the_images_is_unknown_after_it() -> None:
    targets = np.array([[1, 0, -1], [0, 0, 1]], np.float32)
    images = np.stack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)])
    for seed in range(8):
        mixed, labels = MixUp(1.0)(images, targets, np.random.default_rng(seed))
        if mixed[0].mean() in (0.0, 200.0):  # mixed with itself
            continue
        own = 1 - mixed[0].mean() / 200
        np.testing.assert_allclose(labels[0], [own, 0, -1], atol=1e-6)
        np.testing.assert_allclose(labels[1, :2], [1 - mixed[1].mean() / 200, 0], atol=1e-6)
        return
    raise AssertionError("no draw mixed the two images")


def test_an_image_that_is_not_mixed_keeps_its_unknown_labels_and_no_others() -> None:
    targets = np.array([[1, 0, -1], [-1, 0, 1]], np.float32)
    _, labels = MixUp(1.0, probability=0.0)(np.zeros((2, 4, 4, 3), np.uint8), targets, np.random.default_rng(0))
    np.testing.assert_array_equal(labels, targets)
