"""Normalised features: Keras and numpy agree, and both have the digits of small features."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.models.normalised import SMALL, normalised


def exact(features: np.ndarray) -> np.ndarray:
    """Return root and length in float64."""
    x = features.astype(np.float64)
    roots = np.sign(x) * (np.sqrt(np.abs(x) + SMALL) - np.sqrt(SMALL))
    return roots / np.linalg.norm(roots, axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [1e-10, 1e-6, 1e-3, 1, 1e4])  # an untrained deep network shrinks its features
def test_keras_and_numpy_agree_on_features_of_any_scale(scale: float) -> None:
    import keras

    from transfercli.models.normalised import side_by_side

    features = (np.random.default_rng(0).normal(size=(4, 64)) * scale).astype("float32")
    x = keras.Input((64,))
    by_keras = keras.Model(x, side_by_side([x], "root")).predict_on_batch(features)
    expected = exact(features)
    nothing = np.zeros((4, 64), "float32")
    np.testing.assert_array_equal(normalised(nothing, [64], "root"), nothing)
    tolerance = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(normalised(features, [64], "root"), expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(by_keras, expected, rtol=0, atol=tolerance)
