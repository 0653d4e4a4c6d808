"""A base sees exactly the pixels it was trained on, and they are prepared inside the model."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.models.bases import BASES

# A base of every preprocessing, and the keras.applications module whose own function is the truth.
PUBLISHED = {
    "vgg16": "vgg16",
    "resnet50": "resnet",
    "resnet50v2": "resnet_v2",
    "densenet121": "densenet",
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3small": "mobilenet_v3",
    "efficientnetb0": "efficientnet",
    "convnexttiny": "convnext",
    "nasnetmobile": "nasnet",
    "xception": "xception",
    "inceptionv3": "inception_v3",
}


@pytest.mark.parametrize("base", PUBLISHED)
def test_preprocessing_equals_the_published_one(base: str) -> None:
    import keras

    from transfercli.models.preprocessing import preprocess

    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
    expected = getattr(keras.applications, PUBLISHED[base]).preprocess_input(pixels.astype("float32"))
    image = keras.Input((8, 8, 3), dtype="uint8")
    ours = keras.Model(image, preprocess(image, BASES[base].preprocessing, 3))
    np.testing.assert_allclose(ours(pixels), expected, atol=1e-5)


def test_grey_is_pillows_luma() -> None:
    import keras
    from PIL import Image

    from transfercli.models.preprocessing import preprocess

    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype("uint8")
    image = keras.Input((8, 8, 3), dtype="uint8")
    ours = np.asarray(keras.Model(image, preprocess(image, "unit", 1))(pixels)) * 255
    assert ours.shape == (1, 8, 8, 1)
    np.testing.assert_allclose(ours[0, :, :, 0], np.asarray(Image.fromarray(pixels[0]).convert("L")), atol=0.51)
