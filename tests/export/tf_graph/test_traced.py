"""The predictor as a TensorFlow graph."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("name", ["onnx", "openvino", "litert"])
def test_a_grey_network_is_a_graph_of_images_alone(name, examples, spec, tmp_path):
    import keras

    from transfercli.export.formats.registry import FORMATS
    from transfercli.export.spec import WriteJob
    from transfercli.export.writing import write
    from transfercli.models.preprocessing import preprocess
    from transfercli.reporting import Reporter

    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    logits = keras.layers.Dense(10)(keras.layers.Flatten()(preprocess(image, "unit", 1)))
    grey = keras.Model(image, keras.layers.Softmax()(logits), name="predictor")
    path = tmp_path / FORMATS[name].entry
    write(name, WriteJob(grey, spec, path), Reporter())
    found = FORMATS[name].read(path).from_tensors(examples.images)
    assert np.abs(found - np.asarray(grey(examples.images))).max() < 1e-5
