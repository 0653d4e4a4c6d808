"""The ONNX format."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from transfercli.errors import UsageError
from transfercli.export.formats import onnx as onnx_format
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import WriteJob
from transfercli.export.writing import write
from transfercli.reporting import Reporter


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


def without_rule(outputs: int = 2):
    """A network with a layer that the writer of graphs has no rule for."""
    import keras

    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    x = keras.layers.Conv2DTranspose(4, 3, name="conv")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(10, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    probabilities = keras.layers.Softmax(name="probabilities")(x)
    return keras.Model(image, [probabilities, keras.layers.Reshape(())(x[:, :1])][:outputs], name="predictor")


def test_a_layer_without_a_rule_is_written_by_keras_with_the_same_names(spec, examples, tmp_path, capfd):
    import onnx

    pytest.importorskip("tf2onnx")
    model = without_rule()
    files = tmp_path / "first.onnx", tmp_path / "second.onnx"
    for file in files:
        write("onnx", WriteJob(model, spec, file), Reporter())
    assert files[0].read_bytes() == files[1].read_bytes()
    assert capfd.readouterr().out == ""
    graph = onnx.load(files[0]).graph
    values = [*graph.input, *graph.output]
    assert [value.name for value in values] == ["images", "probabilities", "unknown"]
    assert {value.type.tensor_type.shape.dim[0].dim_param for value in values} == {"batch"}
    found = FORMATS["onnx"].read(files[0]).from_tensors(examples.images[:3])
    expected = np.column_stack([np.asarray(output) for output in model(examples.images[:3])])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_layer_without_a_rule_names_the_converter_that_it_needs(spec, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_format, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="Conv2DTranspose needs tf2onnx, which is not installed") as raised:
        FORMATS["onnx"].write(WriteJob(without_rule(1), spec, tmp_path / "model.onnx"))
    assert raised.value.hint == "pip install tf2onnx"


def test_bytes_are_the_same_whatever_the_process_built_before(predictor, spec, tmp_path):
    import keras

    files = tmp_path / "first.onnx", tmp_path / "second.onnx"
    for file in files:
        FORMATS["onnx"].write(WriteJob(predictor, spec, file))
        keras.layers.Conv2D(2, 3)(keras.Input((4, 4, 3)))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_writing_needs_neither_tensorflow_nor_a_converter(predictor, spec, tmp_path, monkeypatch):
    for module in ("tf2onnx", "tensorflow.saved_model"):
        monkeypatch.setitem(sys.modules, module, None)
    FORMATS["onnx"].write(WriteJob(predictor, spec, tmp_path / "model.onnx"))
    assert FORMATS["onnx"].needs == ("onnx", "onnxruntime")
