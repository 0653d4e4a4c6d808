"""The ONNX format."""

from __future__ import annotations

import numpy as np

from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import WriteJob


def test_onnx_runtime_takes_bytes_of_any_batch_and_names_its_tensors(exported, examples, reference):
    import onnxruntime

    session = onnxruntime.InferenceSession(exported.out / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    (entry,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (entry.name, entry.type, entry.shape[1:]) == ("images", "tensor(uint8)", [32, 32, 3])
    assert (answer.name, answer.type) == ("probabilities", "tensor(float)")
    for count in (1, 7):
        (found,) = session.run(None, {"images": examples.images[:count]})
        np.testing.assert_allclose(found, reference.probabilities[:count], atol=1e-5)


def test_float16_weights_take_about_half_of_the_file(spec, tmp_path):
    import keras

    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    wide = keras.Model(image, keras.layers.Softmax()(keras.layers.Dense(10)(x)), name="predictor")
    sizes = []
    for quantize in ("none", "float16"):
        FORMATS["onnx"].write(WriteJob(wide, spec, tmp_path / quantize, quantize))
        sizes.append((tmp_path / quantize).stat().st_size)
    assert 0.45 * sizes[0] < sizes[1] < 0.6 * sizes[0]
