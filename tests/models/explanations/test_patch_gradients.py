"""The gradient of a class score by the shares of a transformer's patches."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("uint8")

pytestmark = pytest.mark.usefixtures("small_transformers")


def transformer(base: str = "tiny_vit_registers", size: tuple[int, int] = (64, 64), **head):
    import keras

    from transfercli.models.architecture import Architecture
    from transfercli.models.classifier import build_classifier

    keras.utils.set_random_seed(0)
    return build_classifier(Architecture(base, size, 3, HeadConfig(**head), ("a", "b", "c")))


@pytest.mark.parametrize("pooling", ["token", "avg", "max", "token_avg"])
def test_it_is_that_of_finite_differences_and_all_shares_of_1_change_nothing(pooling: str) -> None:
    from transfercli.models.explanations.patch_gradients import patch_gradients

    classifier, classes = transformer(pooling=pooling), np.array([1, 0])
    explained = patch_gradients(classifier)
    gradients = explained(IMAGES, classes)
    assert (gradients.shape, gradients.dtype) == ((2, 4, 4), np.float32)

    def logits(shares: np.ndarray) -> np.ndarray:
        return np.asarray(explained.model([IMAGES, shares.astype("float32")], training=False), dtype=np.float64)

    ones = np.ones((2, 16, 1))
    np.testing.assert_allclose(logits(ones), classifier.model.predict_on_batch(IMAGES), atol=1e-5)
    direction = 0.02 * gradients.reshape(2, 16, 1) / np.abs(gradients).max()
    expected = (logits(ones + direction) - logits(ones - direction))[[0, 1], classes]
    found = 2 * (gradients.reshape(2, 16, 1) * direction).sum(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_the_patches_of_an_image_are_in_rows() -> None:
    from transfercli.models.explanations.patch_gradients import patch_gradients

    classifier = transformer("tiny_vit", (32, 96), pooling="token")
    images = np.full((1, 32, 96, 3), 128, np.uint8)
    explained = patch_gradients(classifier)
    assert explained.grid == (2, 6)
    assert explained(images, np.array([0])).shape == (1, 2, 6)
