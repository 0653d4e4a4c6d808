"""Bases go through the ONNX writer: none needs the second road, by way of TensorFlow and tf2onnx."""

from __future__ import annotations

import numpy as np
import pytest

from tests.export.formats.test_bases import adapt, pictures, stretched
from transfercli.config.schema import HeadConfig
from transfercli.export.formats.onnx import import_onnxruntime, written_by_rules
from transfercli.models.architecture import Architecture
from transfercli.models.bases import BASES

FAST = ("mobilenetv3small", "vit_tiny_patch16")


@pytest.mark.parametrize(
    "base", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in BASES if name not in FAST)]
)
def test_a_base_is_written_by_rules_and_answers_as_keras_does(base: str) -> None:
    import keras

    from transfercli.models.classifier import build_classifier
    from transfercli.models.inference_model import build_inference_model

    row = BASES[base]
    side = row.minimum + (row.patch or 1)
    head = HeadConfig(pooling=row.pooling)
    classifier = build_classifier(Architecture(base, (side, side), 3, head, ("a", "b", "c")))
    for layer in classifier.base.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            adapt(layer)
    images = pictures(side)
    expected = stretched(classifier, images)
    content = written_by_rules(build_inference_model(classifier)).SerializeToString()
    session = import_onnxruntime().InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images})
    np.testing.assert_allclose(found, expected, atol=1e-3)
