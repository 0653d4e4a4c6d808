"""Inference model: a classifier whose BatchNorm is folded into weights, without layers that only training needs.

Its outputs equal those of the classifier up to rounding (see `batchnorm_folding.py` for the algebra).
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
from transfercli.models.keras_internals import call_with_replacements
from transfercli.models.preprocessing import preprocess

TRAINING_ONLY = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.ActivityRegularization,
)

Call = Callable[..., Any]


def build_inference_model(classifier: Classifier, temperature: float = 1.0) -> keras.Model:
    """Build the model uint8 [N, H, W, 3] -> float32 probabilities [N, C], the softmax of logits / `temperature`.

    Folded layers and the last layer are copies; all other layers are shared with `classifier`.
    """
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    pixels = preprocess(image, BASES[classifier.name].preprocessing, classifier.base.input.shape[-1])
    features = call_with_replacements(classifier.base, pixels, _replacements(classifier.base))
    last = classifier.head.get_layer("logits")
    output = _copy(last, last.kernel / temperature, last.bias / temperature)
    logits = call_with_replacements(classifier.head, features, _replacements(classifier.head) | {last.name: output})
    return keras.Model(image, probabilities_of(logits), name="predictor")


def _replacements(model: keras.Model) -> dict[str, Call]:
    """Return layer name -> the function to call instead of it."""
    replaced: dict[str, Call] = {layer.name: _identity for layer in model.layers if isinstance(layer, TRAINING_ONLY)}
    for linear, norm in foldable(model):
        replaced |= {linear.name: _folded(linear, norm), norm.name: _identity}
    return replaced


def _identity(x: Any, **_: Any) -> Any:
    return x


def _folded(linear: Any, norm: layers.BatchNormalization) -> Any:
    """Return one layer that computes `norm(linear(x))`."""
    scale, shift = (_array(v) for v in scale_and_shift(norm, linear.bias if linear.use_bias else 0.0))
    *depthwise, kernel = [_array(v) for v in linear.weights if "kernel" in v.name]
    columns = scale.reshape(-1, linear.depth_multiplier) if type(linear) is layers.DepthwiseConv2D else scale
    return _copy(linear, *depthwise, kernel * columns, shift)


def _copy(layer: Any, *weights: Any) -> Any:
    """Return a copy of `layer` that has a bias, with `weights`."""
    copy = type(layer).from_config({**layer.get_config(), "use_bias": True})
    copy.build(layer.input.shape)
    copy.set_weights([_array(value) for value in weights])
    return copy


def _array(value: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(value)
