"""Weights and images that any library makes alike: each tensor follows from its name and shape alone.

So a fixture needs to hold only names, shapes and a few features that the original library computed from them.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np

# Values of a tensor that is zero instead of random, to save time: only the first hidden layer of a VGG's head has more.
LARGEST = 100_000_000


def made_tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return random float32 values of a size that keeps features finite through a deep network."""
    if math.prod(shape) > LARGEST:
        return np.zeros(shape, "float32")
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    values = generator.standard_normal(shape)
    last = name.rpartition(".")[2]
    if last == "num_batches_tracked":
        return np.zeros(shape, "int64")
    if last == "running_var":
        return (0.75 + 0.5 * generator.random(shape)).astype("float32")
    if len(shape) > 1 and shape[0] > 1:
        return (values * math.sqrt(1.6 / math.prod(shape[1:]))).astype("float32")
    # One-dimensional: scales of a normalization around 1; biases, means, tokens around 0.
    centre = 1.0 if last in ("weight", "gamma", "lambda1") else 0.0
    return (centre + 0.1 * values).astype("float32")


def made_images(height: int, width: int) -> np.ndarray:
    """Return two images, uint8 [2, height, width, 3]: coarse squares and noise, so that places differ."""
    generator = np.random.default_rng(height * 1000 + width)
    coarse = generator.integers(0, 256, (2, 6, 6, 3)).repeat(-(-height // 6), 1).repeat(-(-width // 6), 2)
    noise = generator.integers(0, 32, (2, height, width, 3))
    return (coarse[:, :height, :width] * 7 // 8 + noise).astype("uint8")


def sample(features: np.ndarray) -> list[float]:
    """Return 48 values of features, spread over all of them, and the largest absolute value."""
    flat = np.asarray(features, "float64").ravel()
    places = np.linspace(0, len(flat) - 1, 48).astype(int)
    return [float(f"{value:.7g}") for value in (*flat[places], np.abs(flat).max())]
