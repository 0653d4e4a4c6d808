"""Each row's writer and reader by themselves, in this process: cards, small numbers, and what is not let in."""

from __future__ import annotations

import json
import shutil
import zipfile

import numpy as np
import pytest

from transfercli.errors import ArtefactError
from transfercli.export.formats.registry import FORMATS
from transfercli.export.spec import ExportSpec, WriteJob, card_text, parse_card


def _place(exported, name):
    return exported.out / name / FORMATS[name].entry


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_artefact_holds_its_own_labels_and_card(exported, spec, name, tmp_path):
    place = _place(exported, name)
    alone = tmp_path / (FORMATS[name].entry or name)  # without the files that stand beside it
    shutil.copytree(place, alone) if place.is_dir() else shutil.copyfile(place, alone)
    for partner in ("model.bin", "model.json"):
        if (place.parent / partner).exists() and place.is_file():
            shutil.copyfile(place.parent / partner, tmp_path / partner)
    found = FORMATS[name].read(alone)
    assert found.labels == spec.labels
    assert (found.spec.image_size, found.spec.resize) == (spec.image_size, spec.resize)
    assert (found.spec.temperature, found.spec.confidence) == (1.5, 0.75)


@pytest.mark.parametrize("name", ["onnx", "litert", "openvino"])
def test_float16_gives_the_same_labels(predictor, spec, reference, name, tmp_path):
    path = tmp_path / FORMATS[name].entry
    FORMATS[name].write(WriteJob(predictor, spec, path, "float16"))
    found = FORMATS[name].read(path).from_tensors(reference.images)
    assert np.abs(found - reference.probabilities).max() < 0.05
    assert (found.argmax(1) == reference.probabilities.argmax(1)).mean() >= 0.975


@pytest.mark.parametrize("name", ["onnx", "litert"])
def test_int8_keeps_what_the_network_says(predictor, spec, reference, name, tmp_path):
    path = tmp_path / FORMATS[name].entry
    FORMATS[name].write(WriteJob(predictor, spec, path, "int8", reference.images))
    found = FORMATS[name].read(path).from_tensors(reference.images)
    assert (found.argmax(1) == reference.probabilities.argmax(1)).mean() >= 0.9
    with pytest.raises(ArtefactError, match="int8 needs training images"):
        FORMATS[name].write(WriteJob(predictor, spec, path, "int8"))


def test_int8_of_litert_takes_bytes_with_builtin_operators_and_an_exact_softmax(predictor, spec, reference, tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    path = tmp_path / "model.tflite"
    FORMATS["litert"].write(WriteJob(predictor, spec, path, "int8", reference.images))
    interpreter = Interpreter(str(path))
    entry = interpreter.get_input_details()[0]
    assert entry["dtype"] == np.uint8
    names = [operation["op_name"] for operation in interpreter._get_ops_details()]
    assert names.index("QUANTIZE") < names.index("CONV_2D") < names.index("DEQUANTIZE") < names.index("SOFTMAX")
    assert not [name for name in names if name.startswith("Flex") or name == "CUSTOM"]


def test_tensorflow_serving_finds_a_version_with_the_same_bytes(exported):
    folder = exported.out / "saved_model"
    for file in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        assert (folder / "1" / file).read_bytes() == (folder / file).read_bytes()
    once = sum(file.stat().st_size for file in (folder / "1").rglob("*") if file.is_file())
    assert exported.results["saved_model"]["bytes"] == once


def test_plain_keras_rebuilds_the_safetensors_artefact(exported, reference):
    import keras
    from safetensors.numpy import load_file

    folder = exported.out / "safetensors"
    model = keras.models.model_from_json((folder / "model.json").read_text())  # noqa: TID251 - written by this very test
    tensors = load_file(folder / "model.safetensors")
    for variable in model.variables:
        variable.assign(tensors[variable.path])
    np.testing.assert_allclose(model.predict(reference.images, verbose=0), reference.probabilities, atol=1e-5)


def test_labels_stand_in_onnx_and_openvino_where_their_tools_look(exported):
    import onnx
    import openvino

    props = {p.key: p.value for p in onnx.load(exported.out / "onnx" / "model.onnx").metadata_props}
    assert props["labels"].splitlines()[:2] == ["digit 0", "digit 1"]
    model = openvino.Core().read_model(exported.out / "openvino" / "model.xml")
    assert model.get_rt_info(["model_info", "labels"]).astype(str).splitlines()[0] == "digit 0"
    with zipfile.ZipFile(exported.out / "litert" / "model.tflite") as read_attached_spec:
        assert read_attached_spec.read("labels.txt").decode().splitlines()[9] == "naïve\\nnine"


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": ["one"]},
        {"labels": [1, 2]},
        {"temperature": 0},
        {"temperature": "NaN"},
        {"abstain": {"confidence": 2}},
        {"input": {"height": -1, "width": 2, "resize": "stretch"}},
        {"input": {"height": 1, "width": 2, "resize": "smart"}},
        {"input": 3},
    ],
)
def test_a_damaged_card_is_refused(changed):
    spec = ExportSpec(("a", "b"), (8, 9), "crop", 2.0, None)
    assert parse_card(card_text(spec)) == spec
    with pytest.raises(ArtefactError, match="card is damaged"):
        parse_card(json.dumps(spec.card() | changed))


def _keras_file(path, layer):
    import keras

    image = keras.Input((4, 4, 3))
    keras.Model(image, layer(image)).save(path)


def test_a_keras_file_that_holds_code_is_not_loaded(tmp_path):
    import keras

    _keras_file(tmp_path / "model.keras", keras.layers.Lambda(lambda x: x + 1))
    with pytest.raises(ArtefactError, match=r"Lambda, and only Keras' own layers"):
        FORMATS["keras"].read(tmp_path / "model.keras")


def test_a_keras_file_that_names_a_module_elsewhere_is_not_loaded(tmp_path):
    import keras

    place = tmp_path / "plain.keras"
    _keras_file(place, keras.layers.Flatten())
    with zipfile.ZipFile(place) as plain, zipfile.ZipFile(tmp_path / "model.keras", "w") as changed:
        for name in plain.namelist():
            changed.writestr(name, plain.read(name).replace(b'"module": "keras.layers"', b'"module": "os.path"'))
    with pytest.raises(ArtefactError, match=r"os\.path\."):
        FORMATS["keras"].read(tmp_path / "model.keras")


def test_a_saved_model_that_reads_files_is_not_loaded(tmp_path):
    import tensorflow as tf

    class Curious(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 3), tf.uint8)])
        def serve(self, images):
            return {"probabilities": tf.strings.length(tf.io.read_file("/etc/hostname"))}

    module = Curious()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"serve": module.serve})
    with pytest.raises(ArtefactError, match="ReadFile, which has access outside the graph"):
        FORMATS["saved_model"].read(tmp_path / "m")


def test_a_safetensors_artefact_with_other_tensors_is_refused(exported, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = exported.out / "safetensors"
    shutil.copy(folder / "model.json", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    first = min(tensors)
    save_file({**tensors, first: tensors[first][..., :1].copy()}, tmp_path / "model.safetensors")
    with pytest.raises(ArtefactError, match="has the shape"):
        FORMATS["safetensors"].read(tmp_path / "model.safetensors")
    del tensors[first]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ArtefactError, match="other tensors"):
        FORMATS["safetensors"].read(tmp_path / "model.safetensors")
