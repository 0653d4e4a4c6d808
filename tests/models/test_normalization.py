"""Normalization layers whose statistics are weights."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig

STD = np.array([0.229, 0.224, 0.225], "float32")
MEAN = np.array([0.485, 0.456, 0.406], "float32")
PIXELS = np.random.default_rng(0).uniform(0, 1, (2, 4, 4, 3)).astype("float32")


@pytest.fixture
def classifier():
    """A small network under the name of one whose ImageNet file holds statistics."""
    import keras

    from transfercli.models.classifier import Classifier, build_head

    image = keras.Input((4, 4, 3))
    base = keras.Model(image, keras.layers.Normalization()(image))
    head = build_head(HeadConfig(), [base.output.shape[1:]], 2)
    model = keras.Model(image, head(base(image)))
    return Classifier("efficientnetb0", model, base, head, model, ("a", "b"))


def with_statistics(classifier, variance: np.ndarray) -> dict[str, np.ndarray]:
    from transfercli.models.tensor_names import read_tensors

    new = {"base/normalization/mean": MEAN, "base/normalization/variance": variance}
    return read_tensors(classifier) | new


def test_weights_of_a_checkpoint_are_those_that_the_layer_computes_with(classifier) -> None:
    from transfercli.models.tensor_names import assign_tensors

    assign_tensors(classifier, with_statistics(classifier, STD**2))
    np.testing.assert_allclose(classifier.base(PIXELS), (PIXELS - MEAN) / STD, rtol=1e-5, atol=1e-6)


def test_copied_weights_are_those_that_the_layer_computes_with(classifier) -> None:
    from transfercli.transfer.transplant import transplant

    transplant(classifier, with_statistics(classifier, STD**2))
    np.testing.assert_allclose(classifier.base(PIXELS), (PIXELS - MEAN) / STD, rtol=1e-5, atol=1e-6)


def test_a_run_that_was_trained_on_pixels_that_were_not_normalised_gets_such_pixels(classifier) -> None:
    from transfercli.models.tensor_names import assign_tensors

    assign_tensors(classifier, with_statistics(classifier, STD))
    np.testing.assert_array_equal(classifier.base(PIXELS), PIXELS)


def test_a_run_from_random_weights_gets_the_pixels_as_they_are(classifier) -> None:
    from transfercli.models.tensor_names import assign_tensors, read_tensors

    assign_tensors(classifier, read_tensors(classifier))
    np.testing.assert_array_equal(classifier.base(PIXELS), PIXELS)


@pytest.mark.parametrize(
    "base, by_keras, variance, expected",
    [
        ("efficientnetb0", True, STD, STD**2),
        ("efficientnetb0", False, STD, STD**2),
        ("efficientnetb0", True, STD**2, STD**2),  # written by this program's `keras` artefact
        ("efficientnetb0", True, np.ones(3, "float32"), np.ones(3)),  # started from random weights
        ("efficientnetb0", True, np.float32([1, 2, 3]), [1, 2, 3] * STD),
        ("efficientnetb0", False, np.float32([1, 2, 3]), [1, 2, 3]),
        ("efficientnetb0", True, np.ones(1, "float32") / 2, [0.5]),  # grey
        ("vgg16", True, STD, STD),
    ],
)
def test_the_variance_of_an_imagenet_file_is_corrected_once(base, by_keras, variance, expected) -> None:
    from transfercli.models.normalization import VARIANCE, with_corrected_variance

    found = with_corrected_variance(base, {VARIANCE: variance}, by_keras=by_keras)[VARIANCE]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
