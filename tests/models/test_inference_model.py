"""The inference model: its outputs are the classifier's, and it has no layer that only training needs."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import HeadConfig
from transfercli.models.architecture import Architecture
from transfercli.models.classifier import build_classifier
from transfercli.models.forward import probabilities
from transfercli.models.inference_model import TRAINING_ONLY, build_inference_model

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
    predictor = build_inference_model(classifier, 1.7)
    logits = np.asarray(classifier.model(images, training=False), np.float64)
    np.testing.assert_allclose(predictor(images, training=False), probabilities(logits / 1.7), atol=1e-5)
    kinds = [type(layer) for layer in predictor.layers]
    assert kinds.count(keras.layers.BatchNormalization) == left
    assert not [kind for kind in kinds if issubclass(kind, TRAINING_ONLY)]
    assert len({layer.name for layer in predictor.layers}) == len(kinds)
