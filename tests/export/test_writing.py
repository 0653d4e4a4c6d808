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


def test_another_backend_has_a_tensorflow_format_written_by_a_child(on_jax, predictor, spec, reference, tmp_path):
    path = tmp_path / "model.onnx"
    write("onnx", WriteJob(predictor, spec, path, "int8", reference.images), Reporter())
    artefact = FORMATS["onnx"].read(path)
    assert artefact.spec == spec
    found = artefact.from_tensors(reference.images)
    assert (found.argmax(1) == reference.probabilities.argmax(1)).mean() >= 0.9
    assert np.abs(found - reference.probabilities).max() > 0  # int8


@pytest.mark.slow
def test_a_child_that_cannot_write_is_an_artefact_error(on_jax, predictor, spec, tmp_path):
    with pytest.raises(ArtefactError, match=r"onnx: the artefact could not be written: .*no_such_folder"):
        write("onnx", WriteJob(predictor, spec, tmp_path / "no_such_folder" / "model.onnx"), Reporter())


def test_a_format_of_keras_needs_no_child(on_jax, predictor, spec, tmp_path):
    write("keras", WriteJob(predictor, spec, tmp_path / "model.keras"), Reporter())
    assert (tmp_path / "model.keras").exists()


def test_a_child_that_takes_too_long_is_an_artefact_error(on_jax, predictor, spec, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "TIMEOUT", 0.0)
    with pytest.raises(ArtefactError, match="onnx: the artefact was not written within 0 seconds"):
        writing.write("onnx", WriteJob(predictor, spec, tmp_path / "model.onnx"), Reporter())
