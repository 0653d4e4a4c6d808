"""Gradient of a class score by the share of each patch in the attention of a transformer.

Attention adds up the values of all tokens. With a share, it gets `mean + share * (value - mean)` as the value of a
patch, with the mean of all patches of the image: share 1 is the network as it is, share 0 hides what is particular
about the patch. The gradient by the share, at 1, sums over all blocks the gradient by a value times the value's
deviation from the mean. (benchmarks/RESULTS.md compares it with attention rollout and with Grad-CAM on tokens.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from transfercli.models.bases import BASES
from transfercli.models.classifier import Classifier
from transfercli.models.explanations.gradients import Floats, score_gradients
from transfercli.models.keras_internals import call_with_replacements
from transfercli.models.preprocessing import preprocess

VALUES = "_value"  # end of the name of the layer whose output [N, T, d] attention adds up


@dataclass(frozen=True)
class PatchGradients:
    """Classifier on a transformer with an input for the shares of patches.

    model: pixels [N, H, W, 3] and shares [N, P, 1] -> logits. grid: (rows, columns) of the P patches.
    """

    model: keras.Model
    grid: tuple[int, int]

    def __call__(self, images: npt.NDArray[np.uint8], classes: npt.NDArray[np.integer]) -> Floats:
        """Return the gradient of class scores by the shares of images [N, H, W, 3], float32 [N, rows, columns].

        classes: as in `score_gradients`.
        """
        shares = ops.ones((len(images), math.prod(self.grid), 1))
        pixels = ops.convert_to_tensor(images)
        gradients = score_gradients(lambda value: self.model([pixels, value], training=False), shares, classes)
        return gradients.reshape(len(images), *self.grid)


def patch_gradients(classifier: Classifier) -> PatchGradients:
    """Build the model with an input for the shares, of the same layers as a classifier whose base returns tokens."""
    base, row = classifier.base, BASES[classifier.name]
    grid, prefix_tokens = row.grid(tuple(base.input.shape[1:3])), row.prefix_tokens or 0
    assert grid is not None, f"{classifier.name} has no patches"
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    shares = keras.Input((math.prod(grid), 1), name="shares")
    replaced: dict[str, Callable[..., Any]] = {
        layer.name: partial(_shared, layer, shares, prefix_tokens)
        for layer in base.layers
        if layer.name.endswith(VALUES)
    }
    pixels = preprocess(image, classifier.preprocessing, base.input.shape[-1])
    logits = classifier.head(call_with_replacements(classifier.trunk, pixels, replaced))
    return PatchGradients(keras.Model([image, shares], logits, name="shared"), grid)


def _shared(layer: keras.layers.Layer, shares: Any, prefix_tokens: int, x: Any) -> Any:
    """Return the layer's output [N, T, d] with shares [N, P, 1] of its last P tokens."""
    tokens = layer(x)
    patches = tokens[:, prefix_tokens:]
    mean = ops.mean(patches, axis=1, keepdims=True)
    return ops.concatenate([tokens[:, :prefix_tokens], mean + shares * (patches - mean)], axis=1)
