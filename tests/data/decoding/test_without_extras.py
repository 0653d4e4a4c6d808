"""Whole pixels beside damaged data: used, as libpng, libjpeg and libwebp use them; damaged pixels: refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.decoding.profiles import DISPLAY_P3, rgb_profile
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import Decoded, Geometry
from transfercli.data.image_notes import BAD_PROFILE, CONVERTED, DAMAGED_EXTRAS

COLOURS = np.random.default_rng(2).integers(0, 256, (12, 16, 3), np.uint8)
PICTURE = Image.fromarray(COLOURS)
TURNED = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)  # EXIF data: an orientation alone


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    PICTURE.save(buffer, kind, **options)
    return buffer.getvalue()


def read(folder: Path, content: bytes) -> Decoded:
    (folder / "x").write_bytes(content)
    return decode_file(str(folder / "x"), Geometry(12, 16))


def chunk(name: bytes, data: bytes, wrong: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ wrong)


def png(before: bytes = b"", after: bytes = b"", wrong_header: int = 0) -> bytes:
    rows = b"".join(b"\0" + row.tobytes() for row in COLOURS)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 12, 8, 2, 0, 0, 0), wrong_header)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + before + pixels + after + chunk(b"IEND", b"")


LONG_TEXT = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * (2 << 20)))
DAMAGED_PNG = {
    "a bomb of a text": png(chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(64 << 20), 9))),
    "wrong checksum of a size": png(chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1), wrong=1)),
    "wrong checksum of an unknown chunk": png(chunk(b"vpAg", b"abc", wrong=1)),
    "a short gamma": png(chunk(b"gAMA", b"")),
    "a short opacity": png(chunk(b"tRNS", b"1")),
    "a profile of an unknown method": png(chunk(b"iCCP", b"x\0\5zzzz")),
    "a short animation": png(chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", b"abc")),
    "a bomb after the pixels": png(after=chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(64 << 20), 9))),
}


@pytest.mark.parametrize("name", DAMAGED_PNG)
def test_damaged_ancillary_chunks_of_a_png_are_left_out(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, DAMAGED_PNG[name])
    assert (found.problem, found.notes) == ("", DAMAGED_EXTRAS)
    assert np.array_equal(found.pixels, COLOURS)


def test_a_long_text_and_a_long_profile_are_read(tmp_path: Path) -> None:
    for content, note in (
        (png(LONG_TEXT), ""),
        (png(after=LONG_TEXT), ""),
        (png(chunk(b"iCCP", b"x\0\0" + zlib.compress(b"a" * (2 << 20)))), BAD_PROFILE),
        (png(chunk(b"iCCP", b"x\0\0" + zlib.compress(rgb_profile(DISPLAY_P3).ljust(2 << 20, b"\0")))), CONVERTED),
    ):
        found = read(tmp_path, content)
        assert (found.problem, found.notes) == ("", note)


def test_what_changes_the_picture_is_kept_beside_what_is_damaged(tmp_path: Path) -> None:
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(rgb_profile(DISPLAY_P3)))
    damaged = chunk(b"pHYs", b"123456789", wrong=1)
    found = read(tmp_path, png(profile + damaged + chunk(b"eXIf", TURNED)))
    assert found.notes == f"{CONVERTED} {DAMAGED_EXTRAS}"
    assert (found.width, found.height) == (12, 16)


def test_damaged_critical_chunks_of_a_png_are_refused_for_what_they_are(tmp_path: Path) -> None:
    whole = png(LONG_TEXT)
    problems = [
        read(tmp_path, png(wrong_header=1)).problem,
        read(tmp_path, png(chunk(b"pHYs", b"", wrong=1), wrong_header=1)).problem,
        read(tmp_path, whole[:-100]).problem,
        read(tmp_path, png(chunk(b"pHYs", b"", wrong=1))[:-100]).problem,
    ]
    assert all(problems)
    assert problems[0].startswith("unreadable: a PNG file, but broken PNG file (bad header checksum in b'IHDR')")
    assert not any("not an image" in problem for problem in problems)


def app(number: int, data: bytes) -> bytes:
    return b"\xff" + bytes([0xE0 + number]) + struct.pack(">H", len(data) + 2) + data


JPEG = encoded("JPEG", quality=100, subsampling=0)


@pytest.mark.parametrize("segment", [app(2, b"ICC_PROFILE\0"), app(14, b"Adobe\0"), app(0, b"JFIF")])
def test_damaged_segments_of_a_jpeg_are_left_out(segment: bytes, tmp_path: Path) -> None:
    found = read(tmp_path, JPEG[:2] + segment + JPEG[2:])
    assert (found.problem, found.notes) == ("", DAMAGED_EXTRAS)
    assert np.array_equal(found.pixels, read(tmp_path, JPEG).pixels)
    turned = read(tmp_path, JPEG[:2] + segment + app(1, b"Exif\0\0" + TURNED) + JPEG[2:])
    assert (turned.width, turned.height) == (12, 16)


def test_inks_of_a_jpeg_stay_inverted_without_its_extras(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (16, 12), (120, 40, 200, 30)).save(buffer, "JPEG")
    whole = buffer.getvalue()
    found = read(tmp_path, whole[:2] + app(2, b"ICC_PROFILE\0") + whole[2:])
    assert found.notes == DAMAGED_EXTRAS
    assert np.array_equal(found.pixels, read(tmp_path, whole).pixels)


@pytest.mark.parametrize("name", [b"EXIF", b"XMP "])
def test_metadata_of_a_webp_that_runs_over_its_end_is_left_out(name: bytes, tmp_path: Path) -> None:
    whole = encoded("WEBP", lossless=True, exif=b"Exif\0\0zz", xmp=b"a" * 100)
    at = whole.index(name) + 4
    found = read(tmp_path, whole[:at] + b"\xff\xff\xff\x7f" + whole[at + 4 :])
    assert (found.problem, found.notes) == ("", DAMAGED_EXTRAS)
    assert np.array_equal(found.pixels, COLOURS)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_no_cut_of_a_file_with_extras_is_taken_for_a_whole_picture(kind: str, tmp_path: Path) -> None:
    content = encoded(kind, exif=TURNED, icc_profile=rgb_profile(DISPLAY_P3))
    whole = read(tmp_path, content)
    assert whole.problem == ""
    for end in range(20, len(content) - 20, 13):
        found = read(tmp_path, content[:end])
        assert found.problem or np.array_equal(found.pixels, whole.pixels), end


def test_an_extra_that_is_no_text_does_not_hide_the_pixels_of_a_tiff(tmp_path: Path) -> None:
    from tests.data.decoding.tiffs import LONG, tiff

    grey = COLOURS[..., 0]
    found = read(tmp_path, tiff(grey, 8, tags={700: (LONG, 99), 34675: (LONG, 7), 34665: (LONG, 99_999_999)}))
    assert (found.problem, found.notes) == ("", BAD_PROFILE)
    assert np.array_equal(found.pixels, np.stack([grey] * 3, axis=-1))
