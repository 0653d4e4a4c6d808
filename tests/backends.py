"""The backend of Keras that tests run on: tests that only one can run, and gradients on any."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def tensorflow_only(reason: str) -> pytest.MarkDecorator:
    """Skip a test if Keras runs on another backend than TensorFlow."""
    return pytest.mark.skipif(os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow", reason=reason)


def gradient(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """Return the gradient of the sum of what a function of Keras operations returns, by its argument."""
    import keras

    from transfercli.models.explanations.gradients import GRADIENTS

    return keras.ops.convert_to_numpy(GRADIENTS[keras.backend.backend()](function, keras.ops.convert_to_tensor(x)))


def jax_only(reason: str) -> pytest.MarkDecorator:
    """Skip a test if Keras runs on another backend than JAX."""
    return pytest.mark.skipif(os.environ.get("KERAS_BACKEND") != "jax", reason=reason)
