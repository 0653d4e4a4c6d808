"""The list of docs/guides/predict.md: which kinds of files the bytes signature sees as the program itself does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.export.kinds import KINDS, turned
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Geometry
from transfercli.export.spec import ExportSpec

SIZE, BACKGROUND = (48, 32), "#12a0ff"


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (32, 42, 3), np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def decode():
    import tensorflow as tf

    from transfercli.export.tf_graph.decode_images import decode_batch

    spec = ExportSpec((), SIZE, "stretch", background=BACKGROUND)
    return tf.function(lambda encoded: decode_batch(encoded, spec), input_signature=[tf.TensorSpec([None], tf.string)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_sees_the_pixels_that_the_program_sees(kind, photo, decode, tmp_path):
    import tensorflow as tf

    extension, write, allowed = KINDS[kind]
    file = tmp_path / f"image.{extension}"
    write(photo, file)
    expected = decode_file(str(file), Geometry(*SIZE, "stretch", BACKGROUND)).pixels
    assert expected is not None
    try:
        found = decode(tf.constant([file.read_bytes()])).numpy()[0]
    except tf.errors.InvalidArgumentError:
        found = None
    if allowed is None:
        assert found is None
    else:
        assert np.abs(found.astype(int) - expected).max() <= allowed


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_jpeg_is_turned_as_its_exif_data_says(endian, orientation, photo, decode, tmp_path):
    import tensorflow as tf

    file = tmp_path / "image.jpg"
    turned(photo, file, endian, orientation)
    expected = decode_file(str(file), Geometry(*SIZE)).pixels
    assert expected is not None
    found = decode(tf.constant([file.read_bytes()])).numpy()[0]
    assert np.array_equal(found, expected)


def _photo(height: int, width: int) -> Image.Image:
    """A smooth picture, as photographs are."""
    coarse = np.random.default_rng([height, width]).integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


SIZES = [(32, 32), (60, 97), (97, 60), (7, 9), (40, 300), (512, 512), (1100, 1500), (2, 300)]


@pytest.mark.parametrize("resize", ["stretch", pytest.param("crop", marks=pytest.mark.slow), "pad"])
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


@pytest.mark.slow
def test_a_model_that_stretches_refuses_deep_pngs_in_bytes(tmp_path):
    import tensorflow as tf

    from transfercli.export.tf_graph.decode_images import decode_batch

    def decode(content, levels):
        spec = ExportSpec((), (8, 9), levels=levels)
        call = tf.function(lambda encoded: decode_batch(encoded, spec))
        return call(tf.constant([content])).numpy()[0]

    file = tmp_path / "x.png"
    Image.fromarray((np.arange(72).reshape(8, 9) * 900).astype(np.uint16)).save(file)
    assert decode(file.read_bytes(), "tags").max() == 71 * 900 >> 8
    with pytest.raises(tf.errors.InvalidArgumentError, match="which serve_bytes cannot"):
        decode(file.read_bytes(), "stretch")
    for kind in ("png", "jpg", "bmp"):
        file = tmp_path / f"y.{kind}"
        _photo(8, 9).save(file)
        assert np.array_equal(decode(file.read_bytes(), "stretch"), decode(file.read_bytes(), "tags"))
