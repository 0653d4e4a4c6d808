"""Artefacts that hold code are refused before they are loaded."""

from __future__ import annotations

import zipfile

import pytest

from transfercli.errors import ArtefactError
from transfercli.export.formats.registry import FORMATS


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
