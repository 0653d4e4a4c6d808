"""The list of docs/guides/predict.md: which kinds of files the bytes signature sees as the program itself does."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests.export.kinds import KINDS, turned
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Geometry
from transfercli.export.spec import ExportSpec

SIZE = (48, 32)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (32, 42, 3), np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def decode():
    import tensorflow as tf

    from transfercli.export.tf_graph.decode_images import decode_batch

    spec = ExportSpec((), SIZE, "stretch")
    return tf.function(lambda encoded: decode_batch(encoded, spec), input_signature=[tf.TensorSpec([None], tf.string)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_sees_the_pixels_that_the_program_sees(kind, photo, decode, tmp_path):
    import tensorflow as tf

    extension, write, allowed = KINDS[kind]
    file = tmp_path / f"image.{extension}"
    write(photo, file)
    expected = decode_file(str(file), Geometry(*SIZE)).pixels
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


@pytest.mark.parametrize(
    "header, value", [(b"II*\0\x08\0\0\0\x01\0\x12\x01", "<HIHH"), (b"MM\0*\0\0\0\x08\0\x01\x01\x12", ">HIHH")]
)
@pytest.mark.parametrize("kind", [3, 4])
def test_an_orientation_may_be_written_in_two_bytes_or_four(header, value, kind):
    import tensorflow as tf

    from transfercli.export.tf_graph.exif import orientation

    halves = (0, 6) if kind == 4 and value[0] == ">" else (6, 0)
    content = b"Exif\0\0" + header + struct.pack(value, kind, 1, *halves)
    assert int(orientation(tf.constant(content))) == 6


@pytest.mark.parametrize(
    "damage",
    [
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0",
    ],
)
def test_damaged_exif_data_turns_nothing(damage):
    import tensorflow as tf

    from transfercli.export.tf_graph.exif import orientation

    assert int(orientation(tf.constant(b"\xff\xd8\xff\xe1\0\x40Exif\0\0" + damage))) == 1
    assert int(orientation(tf.constant(b""))) == 1
