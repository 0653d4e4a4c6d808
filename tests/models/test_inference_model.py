"""The inference model: its outputs are the classifier's, and it has no layer that only training needs."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.models.architecture import Architecture
from transfercli.models.classifier import build_classifier
from transfercli.models.inference_model import TRAINING_ONLY, build_inference_model
from transfercli.models.tasks.calibration import Calibration
from transfercli.models.tasks.outputs import softmax

# A residual network, depthwise convolutions, separable ones and BatchNorm that follows none of these.
# How many BatchNorm layers stay.
CASES = [("resnet18", "softmax", 0), ("resnet18", "sigmoid", 0), ("mobilenetv2", "softmax", 0)]
CASES += [("xception", "softmax", 0), ("densenet121", "softmax", 62)]


@pytest.mark.parametrize("base, output, left", CASES)
def test_probabilities_are_those_of_the_logits_over_the_temperature(base: str, output: str, left: int) -> None:
    import keras

    keras.utils.set_random_seed(0)
    size = 72 if base == "xception" else 64
    head = HeadConfig(hidden=[16], dropout=0.5, output=output)
    classifier = build_classifier(Architecture(base, (size, size), 3, head, ("a", "b")))
    rng = np.random.default_rng(0)
    for layer in classifier.base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            drawn = [w * rng.uniform(0.5, 1.5, w.shape) + 0.1 * rng.random(w.shape) for w in layer.get_weights()]
            layer.set_weights(drawn)
    images = rng.integers(0, 256, (2, size, size, 3), np.uint8)
    predictor = build_inference_model(classifier, Calibration.of_temperature(1.7))
    logits = np.asarray(classifier.model(images, training=False), np.float64)
    np.testing.assert_allclose(predictor(images, training=False), softmax(logits / 1.7), atol=1e-5)
    kinds = [type(layer) for layer in predictor.layers]
    assert kinds.count(keras.layers.BatchNormalization) == left
    assert not [kind for kind in kinds if issubclass(kind, TRAINING_ONLY)]
    assert len({layer.name for layer in predictor.layers}) == len(kinds)


@pytest.mark.parametrize("groups, norm", [(16, True), (4, False), (3, True), (48, True)])
def test_convolutions_with_groups_become_ones_without(groups: int, norm: bool) -> None:
    """No converter reads what Keras makes of groups in TensorFlow."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((12, 14, 3))
    x = layers.Conv2D(48, 3, name="stem")(image)
    x = layers.Conv2D(96, 3, strides=2, groups=groups, activation=None if norm else "relu", name="grouped")(x)
    x = layers.BatchNormalization(name="norm")(x) if norm else x
    architecture = Architecture("small_cnn", (12, 14), 3, HeadConfig(), ("a", "b"))
    classifier = build_classifier(architecture, keras.Model(image, x))
    rng = np.random.default_rng(0)
    for variable in classifier.base.weights:
        drawn = rng.uniform(-0.1, 0.1, variable.shape)
        variable.assign(drawn if "kernel" in variable.path else 1 + drawn)
    images = rng.integers(0, 256, (2, 12, 14, 3), np.uint8)
    predictor = build_inference_model(classifier)
    expected = softmax(np.asarray(classifier.model(images, training=False), np.float64))
    assert 0.001 < expected.min() < expected.max() < 0.999
    np.testing.assert_allclose(predictor(images, training=False), expected, atol=1e-5)
    assert all(getattr(layer, "groups", 1) == 1 for layer in predictor.layers)
