"""Operations of a LiteRT model in 8 bits, and those that stay in float32."""

from __future__ import annotations

import numpy as np
import pytest

from tests.backends import tensorflow_only
from transfercli.export.formats import litert_int8
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import WriteJob
from transfercli.export.writing import write
from transfercli.reporting import Reporter


@pytest.fixture(scope="module")
def normalised():
    """A network with a LayerNorm, untrained: uint8 [N, 32, 32, 3] -> float32 [N, 10]."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    x = layers.Conv2D(16, 4, 4, name="conv")(layers.Rescaling(1 / 255, name="preprocess")(image))
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(layers.Reshape((64, 16))(x))
    x = layers.Activation("gelu")(layers.Dense(256, name="hidden")(x))
    x = layers.Dense(10, name="logits")(layers.GlobalAveragePooling1D()(layers.Dense(64)(x)))
    return keras.Model(image, layers.Softmax(name="probabilities")(x), name="predictor")


@pytest.mark.parametrize(
    "road",
    ["quantizer", pytest.param("debugger", marks=tensorflow_only("on another backend a child process writes"))],
)
def test_layer_norm_and_the_last_layer_stay_in_float32(road, normalised, spec, examples, tmp_path, monkeypatch, capfd):
    from ai_edge_litert.interpreter import Interpreter

    if road == "quantizer":
        pytest.importorskip("ai_edge_quantizer")
    else:
        monkeypatch.setattr(litert_int8, "find_spec", lambda _: None)
    path = tmp_path / "model.tflite"
    write("litert", WriteJob(normalised, spec, path, "int8", examples.images), Reporter())
    assert "Calibration" not in capfd.readouterr().err
    interpreter = Interpreter(str(path))
    types = {tensor["index"]: tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    rows = [(row["op_name"], types[row["outputs"][0]]) for row in interpreter._get_ops_details()]
    for name in ("RSQRT", "SQUARED_DIFFERENCE", "MEAN", "GELU", "SOFTMAX"):
        assert {dtype for kind, dtype in rows if kind == name} == {np.float32}, name
    assert {dtype for kind, dtype in rows if kind == "CONV_2D"} == {np.int8}
    if road == "quantizer":  # the debugger's rule is one for all dense layers
        dense = [dtype for kind, dtype in rows if kind in ("FULLY_CONNECTED", "BATCH_MATMUL")]
        assert dense[-1] == np.float32
        assert np.int8 in dense
    found = FORMATS["litert"].read(path).from_tensors(examples.images)
    np.testing.assert_allclose(found, normalised.predict_on_batch(examples.images), atol=0.05)
