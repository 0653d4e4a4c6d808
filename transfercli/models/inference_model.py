"""Inference model: a classifier whose BatchNorm is folded into weights, without layers that only training needs.

Its outputs equal those of the classifier up to rounding (see `batchnorm_folding.py` for the algebra). Two kinds of
layers become others that every export format can represent:

- Normalization computes with tensors that are no weights, which converters take for inputs of the network. As a
  Rescaling layer it has them in its config.
- A Conv2D with groups is compiled by XLA in TensorFlow, into a function that no converter can read and that SavedModel
  can only run with XLA. A DepthwiseConv2D with the same kernel computes the same if each channel is a group; otherwise
  a few convolutions of parts of the channels do, with zeros in their kernels between the groups of a part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

from transfercli.config.types import ORDINAL
from transfercli.models.batchnorm_folding import foldable, scale_and_shift
from transfercli.models.classifier import Classifier
from transfercli.models.keras_internals import call_with_replacements
from transfercli.models.preprocessing import preprocess
from transfercli.models.tasks.calibration import IDENTITY, Calibration
from transfercli.models.tasks.outputs import OUTPUTS
from transfercli.models.unknown.features import score_feature_layers
from transfercli.models.unknown.layers import score_of
from transfercli.models.unknown.score import UnknownScore

TRAINING_ONLY = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.ActivityRegularization,
)

PARTS = 8  # at most, of a convolution with groups

Call = Callable[..., Any]


def build_inference_model(
    classifier: Classifier, calibration: Calibration = IDENTITY, score: UnknownScore | None = None
) -> keras.Model:
    """Build the model uint8 [N, H, W, 3] -> float32 probabilities [N, C] of calibrated logits.

    score: of the run; then the model has a second output, `unknown`, float32 [N].

    Folded layers and the last layer are copies; all other layers are shared with `classifier`.
    """
    image = keras.Input(classifier.model.input.shape[1:], dtype="uint8", name="image")
    pixels = preprocess(image, classifier.preprocessing, classifier.base.input.shape[-1])
    features = call_with_replacements(classifier.trunk, pixels, _replacements(classifier.trunk))
    logits = _logits(classifier, features, calibration)
    probabilities = OUTPUTS[classifier.task].layer(logits)
    if score is None:
        return keras.Model(image, probabilities, name="predictor")
    read = score_feature_layers(classifier.head, outputs_of(features), score)
    unknown = score_of(score, read, calibration.inverted().layer(logits, "uncalibrated"))
    return keras.Model(image, [probabilities, unknown], name="predictor")


def _logits(classifier: Classifier, features: Any, calibration: Calibration) -> keras.KerasTensor:
    """Return calibrated logits, by the last layer's weights; an average has no such layer."""
    head = classifier.head
    if classifier.average or classifier.task == ORDINAL:
        return calibration.layer(call_with_replacements(head, features, _replacements(head)))
    last = head.get_layer("logits")
    kernel, bias = _array(last.kernel) * calibration.scale, _array(last.bias) * calibration.scale + calibration.offset
    output = _copy(last, kernel, bias)
    return call_with_replacements(head, features, _replacements(head) | {last.name: output})


def outputs_of(features: Any) -> list[keras.KerasTensor]:
    """Return the outputs of a trunk as a list; a trunk with one output returns it alone."""
    return features if isinstance(features, list) else [features]


def without_score(predictor: keras.Model) -> keras.Model:
    """Return the model with its first output only, the probabilities."""
    if len(predictor.outputs) == 1:
        return predictor
    return keras.Model(predictor.input, predictor.outputs[0], name="predictor")


def _replacements(model: keras.Model) -> dict[str, Call]:
    """Return layer name -> the function to call instead of it."""
    replaced: dict[str, Call] = {layer.name: _identity for layer in model.layers if isinstance(layer, TRAINING_ONLY)}
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            replaced[layer.name] = _as_rescaling(layer)
        elif type(layer) is layers.Conv2D and layer.groups > 1:
            replaced[layer.name] = _without_groups(layer, layer.input.shape)
    for linear, norm in foldable(model):
        replaced |= {linear.name: _folded(linear, norm), norm.name: _identity}
    return replaced


def _identity(x: Any, **_: Any) -> Any:
    return x


def _as_rescaling(layer: layers.Normalization) -> Any:
    """Return a layer that computes the same from numbers in its config."""
    deviation = np.maximum(np.sqrt(_array(layer.variance)), keras.backend.epsilon())
    scale = 1 / deviation.ravel()
    offset = -_array(layer.mean).ravel() * scale
    return layers.Rescaling(scale.tolist(), offset.tolist(), name=layer.name, dtype=layer.dtype_policy)


def _without_groups(layer: layers.Conv2D, shape: tuple[int | None, ...]) -> Call:
    """Return a function that computes what a Conv2D with groups does, without groups. shape: of the layer's input."""
    return _as_depthwise(layer, shape) if layer.groups == shape[-1] else _in_parts(layer, shape)


def _in_parts(layer: layers.Conv2D, shape: tuple[int | None, ...]) -> Call:
    """Return a function that convolves parts of the channels, each a whole number of groups, with dense kernels.

    On two CPU cores, eight parts of 32 groups are as fast as one convolution with groups of TensorFlow; fewer parts
    compute more zeros, and more parts are more calls.
    """
    count = math.gcd(layer.groups, PARTS)
    groups = layer.groups // count  # of a part
    kernels = np.split(_array(layer.kernel), layer.groups, axis=-1)
    biases = np.split(_array(layer.bias), count) if layer.use_bias else []
    inputs = int(shape[-1] or 0) // count
    parts = []
    for number in range(count):
        config = {**layer.get_config(), "groups": 1, "filters": layer.filters // count}
        part = layers.Conv2D.from_config({**config, "name": f"{layer.name}_part{number + 1}"})
        part.build((*shape[:-1], inputs))
        part.set_weights([_dense_kernel(kernels[number * groups :][:groups]), *biases[number:][:1]])
        parts.append(part)
    joined = layers.Concatenate(name=layer.name, dtype=layer.dtype_policy)

    def call(x: Any, **_: Any) -> Any:
        return joined([part(x[..., inputs * n : inputs * (n + 1)]) for n, part in enumerate(parts)])

    return call


def _dense_kernel(kernels: list[np.ndarray]) -> np.ndarray:
    """Return one kernel of those of groups, each [h, w, i, o]: [h, w, n * i, n * o], zero between groups."""
    height, width, inputs, outputs = kernels[0].shape
    dense = np.zeros((height, width, len(kernels), inputs, len(kernels), outputs), "float32")
    for number, kernel in enumerate(kernels):
        dense[:, :, number, :, number] = kernel
    return dense.reshape(height, width, len(kernels) * inputs, len(kernels) * outputs)


def _as_depthwise(layer: layers.Conv2D, shape: tuple[int | None, ...]) -> Any:
    """Return a layer that convolves every channel by itself, with the kernels of a Conv2D of as many groups."""
    depthwise = layers.DepthwiseConv2D(
        layer.kernel_size,
        layer.strides,
        layer.padding,
        depth_multiplier=layer.filters // layer.groups,
        dilation_rate=layer.dilation_rate,
        activation=layer.activation,
        use_bias=layer.use_bias,
        name=layer.name,
        dtype=layer.dtype_policy,
    )
    depthwise.build(shape)
    height, width, _, _ = layer.kernel.shape
    kernel = _array(layer.kernel).reshape(height, width, layer.groups, -1)
    depthwise.set_weights([kernel, *([_array(layer.bias)] if layer.use_bias else [])])
    return depthwise


def _folded(linear: Any, norm: layers.BatchNormalization) -> Any:
    """Return one layer that computes `norm(linear(x))`."""
    scale, shift = (_array(v) for v in scale_and_shift(norm, linear.bias if linear.use_bias else 0.0))
    *depthwise, kernel = [_array(v) for v in linear.weights if "kernel" in v.name]
    columns = scale.reshape(-1, linear.depth_multiplier) if type(linear) is layers.DepthwiseConv2D else scale
    folded = _copy(linear, *depthwise, kernel * columns, shift)
    return _without_groups(folded, linear.input.shape) if getattr(linear, "groups", 1) > 1 else folded


def _copy(layer: Any, *weights: Any) -> Any:
    """Return a copy of `layer` that has a bias, with `weights`."""
    copy = type(layer).from_config({**layer.get_config(), "use_bias": True})
    copy.build(layer.input.shape)
    copy.set_weights([_array(value) for value in weights])
    return copy


def _array(value: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(value)
