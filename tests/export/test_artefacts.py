"""What other programs see: the artefacts through plain TensorFlow and plain Keras."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Geometry
from transfercli.export.spec import ExportSpec


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
def test_both_signatures_give_probabilities_and_labels_in_order(loaded, digits, reference, spec, count):
    import tensorflow as tf

    for answer in (
        loaded.signatures["serve"](images=tf.constant(digits.images[:count])),
        loaded.signatures["serve_bytes"](encoded=tf.constant([f.read_bytes() for f in digits.files[:count]])),
    ):
        assert answer["probabilities"].dtype == tf.float32
        np.testing.assert_allclose(answer["probabilities"], reference.probabilities[:count], atol=1e-5)
        assert [label.decode() for label in answer["labels"].numpy()] == list(spec.labels)


def test_plain_keras_loads_the_keras_file(exported, digits, reference):
    import keras

    model = keras.saving.load_model(exported.out / "keras" / "model.keras")  # noqa: TID251 (what a user would do)
    np.testing.assert_allclose(model.predict(digits.images, verbose=0), reference.probabilities, atol=1e-5)


def _photo(height: int, width: int) -> Image.Image:
    """A smooth picture, as photographs are."""
    coarse = np.random.default_rng([height, width]).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


SIZES = [(32, 32), (60, 97), (97, 60), (7, 9), (40, 300), (512, 512), (1100, 1500), (2, 300)]


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_bytes_become_the_pixels_that_training_saw(resize, tmp_path):
    import tensorflow as tf

    from transfercli.export.tf_graph.decode_images import decode_batch

    spec = ExportSpec((), (48, 32), resize)
    decode = tf.function(
        lambda encoded: decode_batch(encoded, spec), input_signature=[tf.TensorSpec([None], tf.string)]
    )
    files = [tmp_path / f"{h}x{w}.{kind}" for h, w in SIZES for kind in ("png", "jpg", "bmp", "gif")]
    for number, file in enumerate(files):
        _photo(*SIZES[number // 4]).save(file)
    pixels = np.stack([decode_file(str(file), Geometry(48, 32, resize)).pixels for file in files])
    difference = np.abs(decode(tf.constant([file.read_bytes() for file in files])).numpy().astype(int) - pixels)
    # Which axis Pillow resizes first depends on its version and the shape: then whole grey levels may fall otherwise.
    assert difference.max() <= 1
    assert difference.reshape(len(SIZES), -1)[[0, 1, 3, 4]].max() == 0


@pytest.mark.parametrize("height, width", [(13, 997), (997, 13), (31, 64), (64, 31), (1, 1), (200, 200)])
def test_resampling_is_pillow_s_to_the_grey_level(height, width):
    import tensorflow as tf

    from transfercli.export.tf_graph.resample import resample

    pixels = np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)
    sideways = Image.fromarray(pixels).resize((40, height), Image.Resampling.BILINEAR)
    expected = np.asarray(sideways.resize((40, 50), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resample(tf.constant(pixels), 50, 40).numpy(), expected)


@pytest.mark.parametrize("name", ["onnx", "openvino", "litert"])
def test_a_grey_network_is_a_graph_of_images_alone(name, digits, spec, tmp_path):
    import keras

    from transfercli.export.formats.registry import FORMATS
    from transfercli.export.spec import WriteJob
    from transfercli.models.preprocessing import preprocess

    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    logits = keras.layers.Dense(10)(keras.layers.Flatten()(preprocess(image, "unit", 1)))
    grey = keras.Model(image, keras.layers.Softmax()(logits), name="predictor")
    path = tmp_path / FORMATS[name].entry
    FORMATS[name].write(WriteJob(grey, spec, path))
    found = FORMATS[name].read(path).from_tensors(digits.images)
    assert np.abs(found - np.asarray(grey(digits.images))).max() < 1e-5
