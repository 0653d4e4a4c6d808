"""Normalization layers whose mean and variance are weights: EfficientNet's first version is the only base with one.

Keras' Normalization computes with tensors that it derives from its weights once, in `finalize_state`. Assigning the
weights does not call it.

The ImageNet files of EfficientNet B0 to B7 hold standard deviations in place of variances
(github.com/tensorflow/tensorflow/issues/49930). keras.applications corrects this by another Rescaling layer,
1/sqrt(std), but only in networks built with `weights="imagenet"`. Here the correction is in the variance itself,
multiplied by the standard deviation when a file is read: (x - mean) / sqrt(v) / sqrt(std) = (x - mean) / sqrt(v * std).
So every EfficientNet has the same layers, and its weights alone determine the results.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from transfercli.models.bases import BASES
from transfercli.models.classifier import Classifier
from transfercli.models.keras_internals import inner_layers

Tensors = dict[str, np.ndarray]
VARIANCE = "base/normalization/variance"


def finalise(model: keras.Model) -> None:
    """Make layers derive from their weights what they compute with; call it after every assignment of weights."""
    for layer in inner_layers(model):
        if layer.weights and hasattr(layer, "finalize_state"):
            layer.finalize_state()


def finalise_classifier(classifier: Classifier) -> None:
    """Finalise the layers of a classifier's base, and let one that was trained without normalization stay so.

    Earlier versions neither finalised the layer nor corrected the variance of ImageNet files. A run of theirs has
    the variance of the file, and was trained on pixels that were not normalised.
    """
    trunk = classifier.trunk
    finalise(trunk)
    factor = BASES[classifier.name].variance_factor
    for layer in trunk.layers if factor else ():
        if isinstance(layer, keras.layers.Normalization) and _equal(ops.convert_to_numpy(layer.adapt_variance), factor):
            layer.mean, layer.variance = ops.zeros_like(layer.mean), ops.ones_like(layer.variance)


def with_corrected_variance(name: str, tensors: Tensors, *, by_keras: bool) -> Tensors:
    """Return the tensors of a weight file for the base `name`, with the variance that keras.applications computes with.

    by_keras: Keras wrote the file. Its statistics are then corrected unless they are those of a network that started
    from random weights (variance 1) or are corrected already. Of any other file, only ImageNet's own are.
    """
    factor, variance = BASES[name].variance_factor, tensors.get(VARIANCE)
    if not factor or variance is None or variance.shape != (len(factor),):
        return tensors
    done = _equal(variance, np.ones(len(factor))) or _equal(variance, np.square(factor))
    if done or not (by_keras or _equal(variance, factor)):
        return tensors
    return {**tensors, VARIANCE: (variance * np.asarray(factor)).astype("float32")}


def _equal(values: np.ndarray, expected: object) -> bool:
    """Return True if values of the same number equal the expected ones up to the rounding of float32."""
    expected = np.asarray(expected)
    return values.shape == expected.shape and bool(np.allclose(values, expected, rtol=1e-5, atol=0))
