"""The table of docs/export.md: which kinds of files the bytes signature sees as the program itself does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfercli.data.decode import Geometry, decode_file
from transfercli.export.spec import ExportSpec

SIZE = (48, 32)


def _photo(height: int = 240, width: int = 320) -> Image.Image:
    rng = np.random.default_rng([height, width])
    coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def _turned(file: Path) -> None:
    _photo().save(file, exif=_exif("<", 6))


def _exif(endian: str, orientation: int) -> Image.Exif:
    """As a camera writes it, the orientation between other entries."""
    exif = Image.Exif()
    exif.endian = endian
    exif.update({0x010F: "maker", 0x0112: orientation, 0x0131: "software"})
    return exif


def _transparent() -> Image.Image:
    photo = _photo().convert("RGBA")
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    return photo


def _deep() -> Image.Image:
    grey = np.asarray(_photo().convert("L")).astype(np.uint16)
    return Image.fromarray(grey * 256 + 77)


# Kind -> its writer, and the largest difference in grey levels; None where the graph sees another picture or refuses.
KINDS: dict[str, tuple[str, Callable[[Path], None], int | None]] = {
    "grey JPEG": ("jpg", lambda file: _photo().convert("L").save(file), 0),
    "progressive JPEG": ("jpg", lambda file: _photo().save(file, progressive=True), 0),
    "JPEG with full chroma": ("jpg", lambda file: _photo().save(file, subsampling=0), 0),
    "huge JPEG": ("jpg", lambda file: _photo(3000, 4000).save(file), 1),
    "CMYK JPEG": ("jpg", lambda file: _photo().convert("CMYK").save(file), 1),
    "JPEG turned by EXIF": ("jpg", _turned, 0),
    "palette PNG": ("png", lambda file: _photo().quantize(64).save(file), 0),
    "palette PNG, one colour transparent": ("png", lambda file: _photo().quantize(64).save(file, transparency=3), 0),
    "PNG with transparency": ("png", lambda file: _transparent().save(file), 0),
    "grey PNG": ("png", lambda file: _photo().convert("L").save(file), 0),
    "grey PNG with transparency": ("png", lambda file: _transparent().convert("LA").save(file), 0),
    "black and white PNG": ("png", lambda file: _photo().convert("1").save(file), 0),
    "16-bit grey PNG": ("png", lambda file: _deep().save(file), 0),
    "huge PNG": ("png", lambda file: _photo(1500, 2000).save(file), 1),
    "GIF": ("gif", lambda file: _photo().save(file), 0),
    "BMP": ("bmp", lambda file: _photo().save(file), 0),
    "WebP": ("webp", lambda file: _photo().save(file), 0),
    "TIFF": ("tif", lambda file: _photo().save(file), None),
}


@pytest.fixture(scope="module")
def decode():
    import tensorflow as tf

    from transfercli.export.encoded import decode_batch

    spec = ExportSpec((), SIZE, "stretch")
    return tf.function(lambda encoded: decode_batch(encoded, spec), input_signature=[tf.TensorSpec([None], tf.string)])


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_sees_the_pixels_that_the_program_sees(kind, decode, tmp_path):
    import tensorflow as tf

    extension, write, allowed = KINDS[kind]
    file = tmp_path / f"image.{extension}"
    write(file)
    expected = decode_file(str(file), Geometry(*SIZE)).pixels
    assert expected is not None
    try:
        found = decode(tf.constant([file.read_bytes()])).numpy()[0]
    except tf.errors.InvalidArgumentError:
        found = None
    if allowed is None:
        assert found is None or np.abs(found.astype(int) - expected).max() > 1
    else:
        assert np.abs(found.astype(int) - expected).max() <= allowed


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_jpeg_is_turned_as_its_exif_data_says(endian, orientation, decode, tmp_path):
    import tensorflow as tf

    file = tmp_path / "image.jpg"
    _photo().save(file, exif=_exif(endian, orientation))
    expected = decode_file(str(file), Geometry(*SIZE)).pixels
    assert expected is not None
    found = decode(tf.constant([file.read_bytes()])).numpy()[0]
    assert np.array_equal(found, expected)


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

    from transfercli.export.upright import orientation

    assert int(orientation(tf.constant(b"\xff\xd8\xff\xe1\0\x40Exif\0\0" + damage))) == 1
    assert int(orientation(tf.constant(b""))) == 1
