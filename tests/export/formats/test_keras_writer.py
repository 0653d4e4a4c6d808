"""TensorFlow's and Keras' own formats, as other programs load them."""

from __future__ import annotations

import numpy as np
import pytest


def test_tensorflow_serving_finds_a_version_with_the_same_bytes(exported):
    folder = exported.out / "saved_model"
    for file in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        assert (folder / "1" / file).read_bytes() == (folder / file).read_bytes()
    once = sum(file.stat().st_size for file in (folder / "1").rglob("*") if file.is_file())
    assert exported.results["saved_model"]["bytes"] == once


@pytest.fixture(scope="module")
def loaded(exported):
    import tensorflow as tf

    return tf.saved_model.load(str(exported.out / "saved_model"))  # noqa: TID251 - written by this very test


def test_saved_model_has_the_two_signatures_and_the_default(loaded):
    assert sorted(loaded.signatures) == ["serve", "serve_bytes", "serving_default"]
    images = loaded.signatures["serve"].structured_input_signature[1]["images"]
    encoded = loaded.signatures["serve_bytes"].structured_input_signature[1]["encoded"]
    assert (images.dtype.name, images.shape.as_list()) == ("uint8", [None, 32, 32, 3])
    assert (encoded.dtype.name, encoded.shape.as_list()) == ("string", [None])


@pytest.mark.parametrize("count", [1, 7])
def test_both_signatures_give_probabilities_and_labels_in_order(loaded, examples, reference, spec, count):
    import tensorflow as tf

    for answer in (
        loaded.signatures["serve"](images=tf.constant(examples.images[:count])),
        loaded.signatures["serve_bytes"](encoded=tf.constant([f.read_bytes() for f in examples.files[:count]])),
    ):
        assert answer["probabilities"].dtype == tf.float32
        np.testing.assert_allclose(answer["probabilities"], reference.probabilities[:count], atol=1e-5)
        assert [label.decode() for label in answer["labels"].numpy()] == list(spec.labels)


def test_plain_keras_loads_the_keras_file(exported, examples, reference):
    import keras

    model = keras.saving.load_model(exported.out / "keras" / "model.keras")  # noqa: TID251 (what a user would do)
    np.testing.assert_allclose(model.predict(examples.images, verbose=0), reference.probabilities, atol=1e-5)
