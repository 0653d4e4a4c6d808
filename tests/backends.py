"""Tests that only one backend of Keras can run."""

from __future__ import annotations

import os

import pytest


def tensorflow_only(reason: str) -> pytest.MarkDecorator:
    """Skip a test if Keras runs on another backend than TensorFlow."""
    return pytest.mark.skipif(os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow", reason=reason)


def jax_only(reason: str) -> pytest.MarkDecorator:
    """Skip a test if Keras runs on another backend than JAX."""
    return pytest.mark.skipif(os.environ.get("KERAS_BACKEND") != "jax", reason=reason)
