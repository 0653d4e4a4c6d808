"""Formats by content, and the limit of an image's size."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Decoded, Geometry
from transfercli.data.image_notes import REDUCED

PHOTO = Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 18, 3), np.uint8)).resize((180, 120))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(folder: Path, content: bytes, name: str = "x.jpg", size: int = 16, max_megapixels: float = 50.0) -> Decoded:
    (folder / name).write_bytes(content)
    return decode_file(str(folder / name), Geometry(size, size, max_megapixels=max_megapixels))


def resized(image: Image.Image, size: int = 16) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).astype(int)


@pytest.mark.parametrize("name", ["x.avif", "x.jpg"])
def test_avif_is_read_under_any_name_and_upright(name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read(tmp_path, encoded(PHOTO, "AVIF", quality=100), name)
    assert found.problem == ""
    assert np.abs(found.pixels.astype(int) - resized(PHOTO)).mean() < 3
    turned = read(tmp_path, encoded(PHOTO, "AVIF", quality=100, exif=exif), name)
    assert (turned.width, turned.height) == (120, 180)
    assert np.abs(turned.pixels.astype(int) - resized(PHOTO.transpose(Image.Transpose.ROTATE_270))).mean() < 3


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def test_heic_names_the_extra_if_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for name in ("IMG_1.HEIC", "IMG_1.jpg"):
        assert read(tmp_path, HEIC, name).problem == "a HEIF file (HEIC): to read it, pip install 'transfercli[heif]'"


def test_heic_is_read_with_the_extra(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    found = read(tmp_path, encoded(PHOTO, "HEIF", quality=100))
    assert found.problem == ""
    assert np.abs(found.pixels.astype(int) - resized(PHOTO)).mean() < 3
    assert "a HEIF file, but" in read(tmp_path, HEIC).problem


OTHERS = {
    "a JPEG 2000 file": encoded(PHOTO, "JPEG2000"),
    "an ICO file": encoded(PHOTO, "ICO"),
    "a PNM file": encoded(PHOTO, "PPM"),
    "a JPEG XL file": b"\xff\x0a" + bytes(30),
    "a video or another media file (qt)": b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(30),
    "a RIFF file (AVI)": b"RIFF\x10\0\0\0AVI " + bytes(30),
    "an SVG drawing": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "a JSON file": b'{"error": "not found"}',
    "a text file": b"moved permanently\n",
    "a DICOM file": bytes(128) + b"DICM" + bytes(30),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_that_is_no_readable_image_is_named_for_what_it_is(kind: str, tmp_path: Path) -> None:
    problem = read(tmp_path, OTHERS[kind]).problem
    assert problem.startswith("not an image of an allowed format (JPEG, PNG, ")
    assert f"): it is {kind}" in problem


def test_a_damaged_image_is_not_called_something_else(tmp_path: Path) -> None:
    for content in (b"\x89PNG\r\n\x1a\n" + bytes(50), b"II*\0\xff\xff\xff\xff", b"GIF89a", b"BM" + bytes(40)):
        assert "not an image" not in read(tmp_path, content).problem


def test_a_jpeg_above_the_limit_is_read_at_a_smaller_scale(tmp_path: Path) -> None:
    flat = Image.new("RGB", (9248, 6936), (200, 40, 90))
    flat.paste((20, 220, 30), (0, 0, 9248, 3468))
    found = read(tmp_path, encoded(flat, "JPEG", quality=85))
    assert (found.problem, found.notes, found.width, found.height) == ("", REDUCED, 9248, 6936)
    assert np.abs(found.pixels[:7].astype(int) - (20, 220, 30)).max() <= 6
    assert np.abs(found.pixels[9:].astype(int) - (200, 40, 90)).max() <= 6


def test_the_limit_holds_for_decoded_pixels_in_every_shape_and_kind_of_jpeg(tmp_path: Path) -> None:
    photo = PHOTO.resize((1800, 1200), Image.Resampling.BICUBIC)
    strip = PHOTO.resize((20_000, 300), Image.Resampling.BICUBIC)
    for image in (photo, strip, photo.convert("L"), photo.convert("CMYK")):
        for options in ({}, {"progressive": True}):
            content = encoded(image, "JPEG", quality=95, **options)
            found = read(tmp_path, content, max_megapixels=0.1)
            assert (found.problem, found.notes) == ("", REDUCED)
            assert (found.width, found.height) == image.size
            plain = read(tmp_path, content)
            assert plain.notes == ""
            assert np.abs(found.pixels.astype(int) - plain.pixels).mean() < 6  # two scales of noise


def test_a_size_that_needs_more_pixels_stays_within_the_limit(tmp_path: Path) -> None:
    content = encoded(PHOTO.resize((3000, 2000), Image.Resampling.BICUBIC), "JPEG", quality=95)
    found = read(tmp_path, content, size=900, max_megapixels=2.0)
    assert (found.problem, found.notes) == ("", REDUCED)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"])
def test_other_formats_above_the_limit_are_refused_with_the_key(kind: str, tmp_path: Path) -> None:
    problem = read(tmp_path, encoded(PHOTO, kind), max_megapixels=0.02).problem
    assert problem == (
        "too large: 180x120 is 0.0 megapixels, data.max_megapixels allows 0.02 (only JPEGs can be read at a smaller"
        " scale)"
    )
    assert read(tmp_path, encoded(PHOTO, kind), max_megapixels=0.03).problem == ""


def sized(content: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header declares another size."""
    place = next(content.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in content) + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def test_jpegs_that_would_take_much_memory_at_any_scale_are_refused(tmp_path: Path) -> None:
    baseline, progressive = encoded(PHOTO, "JPEG"), encoded(PHOTO, "JPEG", progressive=True)
    assert "also at 1/8 of its size" in read(tmp_path, sized(baseline, 65_000, 65_000)).problem
    assert "as a progressive JPEG" in read(tmp_path, sized(progressive, 20_000, 12_000)).problem
    scan = baseline.index(b"\xff\xda")
    several = baseline[: scan + 4] + b"\1" + baseline[scan + 5 :]  # the first scan has one of three components
    assert "as a progressive JPEG" in read(tmp_path, sized(several, 20_000, 12_000)).problem


def test_multi_picture_files_of_cameras_are_read_as_jpegs(tmp_path: Path) -> None:
    photo = PHOTO.resize((1800, 1200), Image.Resampling.BICUBIC)
    content = encoded(photo, "MPO", save_all=True, append_images=[photo.rotate(180)])
    for limit, note in ((50.0, ""), (0.1, REDUCED)):
        found = read(tmp_path, content, max_megapixels=limit)
        assert (found.problem, found.notes) == ("", note)
        assert np.abs(found.pixels.astype(int) - resized(photo)).mean() < 3


def test_a_large_image_writes_nothing_to_stderr(tmp_path: Path) -> None:
    Image.new("L", (10_000, 9_500), 7).save(tmp_path / "x.png")
    code = (
        "import sys; from transfercli.data.decoding.decode import decode_file as decode;"
        "from transfercli.data.image import Geometry;"
        "found = decode(sys.argv[1], Geometry(8, 8, max_megapixels=100)); print(found.problem, found.pixels.mean())"
    )
    command = [sys.executable, "-W", "always", "-c", code, str(tmp_path / "x.png")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == (" 7.0\n", "")
