"""TensorFlow's and Keras' own formats, as other programs load them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

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


def test_saved_model_has_its_signatures_and_the_default(loaded):
    names = ["probabilities", "probabilities_bytes", "serve", "serve_bytes", "serving_default"]
    assert sorted(loaded.signatures) == names
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


@pytest.mark.parametrize("name", ["serve", "serving_default"])
def test_the_default_signature_stays_that_with_labels(loaded, name):
    assert sorted(loaded.signatures[name].structured_outputs) == ["labels", "probabilities"]


def in_batches(signature, argument, parts):
    """Answers to simultaneous requests that TensorFlow's batching op gathers, and the sizes of its batches.

    The op is that of TensorFlow Serving. It waits for a batch with all images.
    """
    import tensorflow as tf

    count, sizes = sum(len(part) for part in parts), []

    @tf.nondifferentiable_batch_function(1, count, 10_000_000, [count])
    def gathered(values):
        tf.numpy_function(lambda rows: sizes.append(int(rows)), [tf.shape(values)[0]], [])
        outputs = signature(**{argument: values})
        return tuple(outputs[name] for name in sorted(outputs))

    served = tf.function(gathered, input_signature=[tf.TensorSpec((None, *parts[0].shape[1:]), parts[0].dtype)])

    def ask(part):
        try:
            return [output.numpy() for output in served(part)]
        except tf.errors.OpError as error:
            return error

    served.get_concrete_function()
    with ThreadPoolExecutor(len(parts)) as pool:
        return list(pool.map(ask, parts)), sizes


def parts_of(examples, name):
    import tensorflow as tf

    spans = ((0, 1), (1, 4), (4, 8))
    if name.endswith("_bytes"):
        return "encoded", [tf.constant([file.read_bytes() for file in examples.files[a:b]]) for a, b in spans]
    return "images", [tf.constant(examples.images[a:b]) for a, b in spans]


@pytest.mark.parametrize("name", ["probabilities", "probabilities_bytes"])
def test_a_batcher_gathers_requests_for_probabilities_alone(loaded, examples, reference, name):
    argument, parts = parts_of(examples, name)
    answers, batches = in_batches(loaded.signatures[name], argument, parts)
    assert batches == [8]
    found = np.concatenate([answer for (answer,) in answers])
    np.testing.assert_allclose(found, reference.probabilities[:8], atol=1e-5)


@pytest.mark.parametrize("name", ["serve", "serve_bytes"])
def test_a_batcher_refuses_labels_which_have_no_row_for_each_image(loaded, examples, name):
    """As TensorFlow Serving does, which is why there are signatures without labels."""
    argument, parts = parts_of(examples, name)
    answers, _ = in_batches(loaded.signatures[name], argument, parts)
    assert all("0th dimension" in str(answer) for answer in answers)


def test_plain_keras_loads_the_keras_file(exported, examples, reference):
    import keras

    model = keras.saving.load_model(exported.out / "keras" / "model.keras")  # noqa: TID251 (what a user would do)
    np.testing.assert_allclose(model.predict(examples.images, verbose=0), reference.probabilities, atol=1e-5)
