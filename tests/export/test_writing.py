"""Writing of artefacts on a backend that is not TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.errors import ArtefactError
from transfercli.export import writing
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import WriteJob
from transfercli.export.writing import write
from transfercli.reporting import Reporter


@pytest.fixture
def on_jax(monkeypatch) -> None:
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")


@pytest.mark.slow
def test_another_backend_has_a_tensorflow_format_written_by_a_child(on_jax, predictor, spec, reference, tmp_path):
    path = tmp_path / "model.tflite"
    write("litert", WriteJob(predictor, spec, path, "int8", reference.images), Reporter())
    artefact = FORMATS["litert"].read(path)
    assert artefact.spec == spec
    found = artefact.from_tensors(reference.images)
    assert (found.argmax(1) == reference.probabilities.argmax(1)).mean() >= 0.9
    assert np.abs(found - reference.probabilities).max() > 0  # int8


@pytest.mark.slow
def test_a_child_that_cannot_write_is_an_artefact_error(on_jax, predictor, spec, tmp_path):
    with pytest.raises(ArtefactError, match=r"litert: the artefact could not be written: .*no_such_folder"):
        write("litert", WriteJob(predictor, spec, tmp_path / "no_such_folder" / "model.tflite"), Reporter())


@pytest.mark.parametrize("name", ["keras", "onnx"])
def test_a_format_without_tensorflow_needs_no_child(on_jax, predictor, spec, tmp_path, monkeypatch, name):
    monkeypatch.setattr(writing, "run_child", None)
    write(name, WriteJob(predictor, spec, tmp_path / FORMATS[name].entry), Reporter())
    assert (tmp_path / FORMATS[name].entry).exists()


@pytest.mark.slow
def test_a_network_that_the_onnx_writer_lacks_a_rule_for_is_written_by_a_child(on_jax, spec, reference, tmp_path):
    import keras

    pytest.importorskip("tf2onnx")
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    x = keras.layers.Conv2DTranspose(4, 3, name="conv")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dense(10, name="logits")(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, keras.layers.Softmax(name="probabilities")(x), name="predictor")
    write("onnx", WriteJob(model, spec, tmp_path / "model.onnx"), Reporter())
    found = FORMATS["onnx"].read(tmp_path / "model.onnx").from_tensors(reference.images)
    np.testing.assert_allclose(found, np.asarray(model(reference.images)), atol=1e-5)


def test_a_child_that_takes_too_long_is_an_artefact_error(on_jax, predictor, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "TIMEOUT", 0.0)
    with pytest.raises(ArtefactError, match="litert: the artefact was not written within 0 seconds"):
        writing.write("litert", WriteJob(predictor, spec, tmp_path / "model.tflite"), Reporter())
