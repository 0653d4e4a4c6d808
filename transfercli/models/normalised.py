"""Normalisation of pooled features before a linear head.

The signed square root evens out the few large values of features behind a ReLU (Perronnin et al. 2010, "Improving the
Fisher kernel for large-scale image classification"), and unit length makes layers of different scales comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras import layers, ops

Normalisation = Literal["none", "length", "root"]

# Keeps the slope of the root finite at 0: the root of |x| is sqrt(|x| + SMALL) - sqrt(SMALL), which is computed as
# |x| / (sqrt(|x| + SMALL) + sqrt(SMALL)), because the difference has no digits left of small features.
SMALL = 1e-6
LEAST_LENGTH = 1e-12  # as in Keras's UnitNormalization


def side_by_side(vectors: Sequence[keras.KerasTensor], how: Normalisation, name_prefix: str = "") -> keras.KerasTensor:
    """Return vectors [N, p] normalised, each by itself, and joined to one, [N, D]; name_prefix: of the layers."""
    normalised = [_normalised(x, how, f"{name_prefix}unit{number}") for number, x in enumerate(vectors, start=1)]
    return normalised[0] if len(normalised) == 1 else layers.Concatenate(name=f"{name_prefix}joined")(normalised)


def _normalised(x: keras.KerasTensor, how: Normalisation, name: str) -> keras.KerasTensor:
    if how == "none":
        return x
    if how == "root":
        x = x / (ops.sqrt(ops.abs(x) + SMALL) + SMALL**0.5)
    return layers.UnitNormalization(axis=-1, name=name)(x)


def normalised(features: np.ndarray, widths: Sequence[int], how: Normalisation) -> np.ndarray:
    """Return features float32 [N, D] as `side_by_side` computes them; widths: of each vector, whose sum is D."""
    if how == "none":
        return features
    parts = np.split(features, np.cumsum(widths)[:-1], axis=1)
    if how == "root":
        parts = [x / (np.sqrt(np.abs(x) + np.float32(SMALL)) + np.float32(SMALL**0.5)) for x in parts]
    lengths = [np.linalg.norm(x, axis=1, keepdims=True) for x in parts]
    return np.concatenate(
        [x / np.maximum(length, np.float32(LEAST_LENGTH)) for x, length in zip(parts, lengths, strict=True)], axis=1
    )
