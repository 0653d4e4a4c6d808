from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from transfercli.config.schema import AugmentationConfig
from transfercli.data.batching.augment import LAYERS, PRESETS, Augment, build
from transfercli.data.batching.mixup import MIXERS
from transfercli.errors import ConfigError

# Arguments with which a layer changes something; the others have defaults that do.
NEEDED = {
    "RandomBrightness": {"factor": 0.5},
    "RandomColorDegeneration": {"factor": 0.9},
    "RandomColorJitter": {
        "brightness_factor": 0.5,
        "hue_factor": 0.4,
        "saturation_factor": 0.4,
        "contrast_factor": 0.4,
    },
    "RandomContrast": {"factor": 0.5},
    "RandomCrop": {"height": 20, "width": 24},
    "RandomElasticTransform": {"factor": 1.0, "scale": 1.0},
    "RandomErasing": {"factor": 1.0},
    "RandomGaussianBlur": {"factor": 1.0, "sigma": 1.0},
    "RandomGrayscale": {"factor": 0.5},
    "RandomHue": {"factor": 0.5},
    "RandomInvert": {"factor": 0.5},
    "RandomPerspective": {"factor": 1.0, "scale": 0.5},
    "RandomPosterization": {"factor": 2},
    "RandomRotation": {"factor": 0.2},
    "RandomSaturation": {"factor": [0.6, 0.9]},
    "RandomSharpness": {"factor": 0.9},
    "RandomShear": {"x_factor": 0.5, "y_factor": 0.5},
    "RandomTranslation": {"height_factor": 0.3, "width_factor": 0.3},
    "RandomZoom": {"height_factor": [-0.5, -0.2]},
}
# These draw nothing: they are strong or they are not there.
WITHOUT_DRAWS = {"RandomPosterization"}


@pytest.fixture(scope="module")
def images(digit: Callable[[int], Image.Image]) -> np.ndarray:
    """Real digits, each in a colour of its own, [12, 32, 40, 3]."""
    grey = np.stack([np.asarray(digit(n).resize((40, 32))) for n in range(12)]).astype(float)
    tint = np.random.default_rng(0).uniform(0.3, 1, (12, 1, 1, 3))
    return np.rint(20 + 0.9 * grey[..., None] * tint).astype(np.uint8)


KERAS = [name for name in LAYERS if name not in MIXERS]


def layer(name: str) -> Augment:
    return Augment([{name: NEEDED.get(name, {})}])


@pytest.mark.parametrize("name", KERAS)
def test_the_same_key_gives_the_same_bits_whatever_was_drawn_before(name: str, images: np.ndarray) -> None:
    augment = layer(name)
    first = augment(images, (1, 2, 3))
    others = [augment(images, (1, 2, n)) for n in range(4, 12)]
    random.seed(99)
    assert np.array_equal(augment(images, (1, 2, 3)), first)
    assert np.array_equal(layer(name)(images, (1, 2, 3)), first)
    assert any(not np.array_equal(images, other) for other in [first, *others])
    assert name in WITHOUT_DRAWS or any(not np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("name", KERAS)
def test_an_image_by_its_own_key_is_the_same_alone_and_among_others(name: str, images: np.ndarray) -> None:
    augment, keys = layer(name), [(7, n) for n in range(len(images))]
    alone = np.stack([augment(one[None], key)[0] for one, key in zip(images, keys, strict=True)])
    assert np.array_equal(augment.augment_each(images, keys), alone)


def test_layers_that_change_images_together_and_alone_follow_one_another(images: np.ndarray) -> None:
    augment = Augment([{"RandomFlip": {}}, {"RandomGaussianBlur": NEEDED["RandomGaussianBlur"]}, {"AugMix": {}}])
    keys = [(7, n) for n in range(len(images))]
    alone = np.stack([augment(one[None], key)[0] for one, key in zip(images, keys, strict=True)])
    assert np.array_equal(augment.augment_each(images, keys), alone)


def test_images_that_are_mixed_have_no_key_each(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mix"):
        Augment([{"MixUp": {}}], classes=2).augment_each(images, [(0, n) for n in range(len(images))])


@pytest.mark.parametrize("name", KERAS)
def test_shape_and_type_stay(name: str, images: np.ndarray) -> None:
    changed = layer(name)(images, (0, 0, 0))
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "none"])
def test_a_preset_changes_every_image_and_keeps_it_recognisable(name: str, images: np.ndarray) -> None:
    augment = build(AugmentationConfig(preset=name))
    assert augment is not None
    views = np.stack([augment(images, (0, 0, n)) for n in range(4)]).astype(float)
    assert all((views[:, n] != images[n]).any() for n in range(len(images)))
    # A view is more like its own image, or the mirrored one, than a grey square is.
    distance = np.minimum(np.abs(views - images).mean((2, 3, 4)), np.abs(views - images[:, :, ::-1]).mean((2, 3, 4)))
    assert np.median(distance) < 45
    assert np.array_equal(augment(images, (0, 0, 2)), views[2].astype(np.uint8))


def test_presets_are_ordered_by_strength(images: np.ndarray) -> None:
    strength = []
    for name in ("light", "medium", "strong"):
        augment = build(AugmentationConfig(preset=name))
        assert augment is not None
        views = np.stack([augment(images, (0, 0, n)) for n in range(6)]).astype(float)
        mirrored = np.abs(views - images[:, :, ::-1]).mean((2, 3, 4))
        strength.append(np.minimum(np.abs(views - images).mean((2, 3, 4)), mirrored).mean())
    assert strength == sorted(strength)


def test_the_generator_of_python_and_the_images_are_left_as_they_were(images: np.ndarray) -> None:
    before, copy = random.getstate(), images.copy()
    layer("AugMix")(images, (1, 1, 1))
    assert random.getstate() == before
    assert np.array_equal(images, copy)


def test_no_preset_and_no_layers_is_nothing() -> None:
    assert build(AugmentationConfig()) is None


def test_listed_layers_are_applied_in_their_order(images: np.ndarray) -> None:
    listed = AugmentationConfig(
        layers=[{"RandomInvert": {"factor": [1.0, 1.0]}}, {"RandomFlip": {"mode": "horizontal"}}]
    )
    augment = build(listed)
    assert augment is not None
    changed = augment(images, (0, 0, 0))
    options = (255 - images, 255 - images[:, :, ::-1])
    assert all(any(np.array_equal(changed[n], option[n]) for option in options) for n in range(len(images)))


def test_arguments_that_keras_refuses_are_a_config_error() -> None:
    refused: list[dict[str, dict[str, object]]] = [
        {"RandomFlip": {"mode": "sideways"}},
        {"RandomZoom": {"strength": 3}},
        {"MixUp": {"alpha": 0}},
        {"MixUp": {"alpha": "0.2"}},
        {"CutMix": {"probability": 1.5}},
        {"CutMix": {"beta": 1.0}},
    ]
    for given in refused:
        with pytest.raises(ConfigError, match=next(iter(given))):
            build(AugmentationConfig(layers=[given]))


def test_the_tables_import_without_keras() -> None:
    check = (
        "import sys, transfercli.data.batching.augment; sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
