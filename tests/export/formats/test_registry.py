"""The table of formats: names, precisions, extras, and what each row writes and reads."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from transfercli.errors import ArtefactError, UsageError
from transfercli.export.formats.registry import FORMATS, check_formats
from transfercli.export.spec import WriteJob
from transfercli.export.writing import write
from transfercli.reporting import Reporter


@pytest.mark.parametrize("name", ["onnx", "litert", "openvino"])
def test_float16_gives_the_same_labels(predictor, spec, reference, name, tmp_path):
    path = tmp_path / FORMATS[name].entry
    write(name, WriteJob(predictor, spec, path, "float16"), Reporter())
    found = FORMATS[name].read(path).from_tensors(reference.images)
    assert np.abs(found - reference.probabilities).max() < 0.05
    assert (found.argmax(1) == reference.probabilities.argmax(1)).mean() >= 0.975


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_int8_keeps_what_the_network_says(predictor, spec, reference, name, tmp_path):
    path = tmp_path / FORMATS[name].entry
    write(name, WriteJob(predictor, spec, path, "int8", reference.images), Reporter())
    found = FORMATS[name].read(path).from_tensors(reference.images)
    assert (found.argmax(1) == reference.probabilities.argmax(1)).mean() >= 0.9
    with pytest.raises(ArtefactError, match="int8 needs training images"):
        FORMATS[name].write(WriteJob(predictor, spec, path, "int8"))


def test_labels_stand_in_onnx_and_openvino_where_their_tools_look(exported):
    import onnx
    import openvino

    props = {p.key: p.value for p in onnx.load(exported.out / "onnx" / "model.onnx").metadata_props}
    assert props["labels"].splitlines()[:2] == ["digit 0", "digit 1"]
    model = openvino.Core().read_model(exported.out / "openvino" / "model.xml")
    assert model.get_rt_info(["model_info", "labels"]).astype(str).splitlines()[0] == "digit 0"
    with zipfile.ZipFile(exported.out / "litert" / "model.tflite") as read_attached_spec:
        assert read_attached_spec.read("labels.txt").decode().splitlines()[9] == "naïve\\nnine"


def test_unknown_format_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'saved_model'"):
        check_formats(("savedmodel",))


@pytest.mark.parametrize("name", ["saved_model", "keras", "safetensors"])
def test_quantising_what_is_float32_only_names_the_formats_that_can(name):
    with pytest.raises(UsageError, match=f"{name} is written as float32 only; formats that support it: onnx, litert$"):
        check_formats((name,), "int8")


def test_missing_extra_is_a_usage_error_with_the_install_line(monkeypatch):
    from dataclasses import replace

    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["keras"], name="onnx", needs=("no_such_onnx",), extra="onnx"))
    with pytest.raises(UsageError, match="no_such_onnx") as caught:
        check_formats(("onnx",))
    assert caught.value.hint == "pip install 'transfercli[onnx]'"
