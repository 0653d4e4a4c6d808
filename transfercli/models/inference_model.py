"""The network as it is used, and no longer trained: BatchNorm is in the weights, what only training needs is gone.

Equal to the classifier's own forward pass but for rounding (see `folding.py` for the algebra).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from transfercli.models.bases import BASES
from transfercli.models.batchnorm_folding import foldable, scale_and_shift
from transfercli.models.classifier import Classifier, probabilities_of
from transfercli.models.keras_internals import run_through
from transfercli.models.preprocessing import preprocess

TRAINING_ONLY = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.ActivityRegularization,
)

Call = Callable[..., Any]


def deployed(classifier: Classifier, temperature: float = 1.0) -> keras.Model:
    """uint8 [N, H, W, 3] -> calibrated float32 probabilities [N, C]: the softmax of logits / `temperature`.

    Shares what has no BatchNorm behind it with `classifier`; what is folded, and the last layer, are copies.
    """
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    pixels = preprocess(image, BASES[classifier.name].preprocessing, classifier.base.input.shape[-1])
    features = run_through(classifier.base, pixels, _instead(classifier.base))
    last = classifier.head.get_layer("logits")
    cooled = _copy(last, last.kernel / temperature, last.bias / temperature)
    logits = run_through(classifier.head, features, _instead(classifier.head) | {last.name: cooled})
    return keras.Model(image, probabilities_of(logits), name="predictor")


def _instead(model: keras.Model) -> dict[str, Call]:
    """Layer name -> what is called instead of it."""
    instead: dict[str, Call] = {layer.name: _nothing for layer in model.layers if isinstance(layer, TRAINING_ONLY)}
    for linear, norm in foldable(model):
        instead |= {linear.name: _folded(linear, norm), norm.name: _nothing}
    return instead


def _nothing(x: Any, **_: Any) -> Any:
    return x


def _folded(linear: Any, norm: layers.BatchNormalization) -> Any:
    """One layer that gives what `norm(linear(x))` gives."""
    scale, shift = (_array(v) for v in scale_and_shift(norm, linear.bias if linear.use_bias else 0.0))
    *before, kernel = [_array(v) for v in linear.weights if "kernel" in v.name]
    columns = scale.reshape(-1, linear.depth_multiplier) if type(linear) is layers.DepthwiseConv2D else scale
    return _copy(linear, *before, kernel * columns, shift)


def _copy(layer: Any, *weights: Any) -> Any:
    """A layer like `layer` with a bias, and with these weights."""
    twin = type(layer).from_config({**layer.get_config(), "use_bias": True})
    twin.build(layer.input.shape)
    twin.set_weights([_array(value) for value in weights])
    return twin


def _array(value: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(value)
