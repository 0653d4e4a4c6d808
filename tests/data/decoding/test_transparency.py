"""Files with transparent pixels, laid on a background as Pillow's `alpha_composite` and image viewers do it."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import NO_BACKGROUND, TRANSPARENT, Decoded, Geometry

SIDE = 8
RNG = np.random.default_rng(0)
RGBA = RNG.integers(0, 256, (SIDE, SIDE, 4), np.uint8)
RGBA[:2, :, 3], RGBA[2:4, :, 3] = 0, 255


def read(tmp_path: Path, content: bytes, background: str, size: tuple[int, int] = (SIDE, SIDE)) -> Decoded:
    path = tmp_path / "image"
    path.write_bytes(content)
    found = decode_file(str(path), Geometry(*size, "stretch", background))
    assert found.problem == ""
    return found


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(samples: np.ndarray, depth: int, colour: int, key: bytes = b"") -> bytes:
    """A PNG of samples uint16 [h, w, channels] that Pillow does not write; with a colour key (tRNS)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = (rows[:, :, None] >> np.arange(depth)[::-1]) & 1
        lines = [np.packbits(row.astype(np.uint8)).tobytes() for row in bits.reshape(len(rows), -1)]
    header = struct.pack(">IIBBBBB", samples.shape[1], len(samples), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    transparent = chunk(b"tRNS", key) if key else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + transparent + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def laid_on(rgba: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """The definition, in floating point: uint8 [h, w, 3]."""
    opacity = rgba[..., 3:] / 255
    return np.floor(rgba[..., :3] * opacity + np.array(background) * (1 - opacity) + 0.5).astype(np.uint8)


GREY = np.repeat(RGBA[..., :1], 3, axis=2)
FILES = {
    "PNG": (encoded(Image.fromarray(RGBA), "PNG"), RGBA),
    "grey PNG": (encoded(Image.fromarray(RGBA[..., [0, 3]]), "PNG"), np.dstack([GREY, RGBA[..., 3]])),
    "WebP": (encoded(Image.fromarray(RGBA), "WEBP", lossless=True, exact=True), RGBA),
    "TIFF": (encoded(Image.fromarray(RGBA), "TIFF"), RGBA),
    "16-bit PNG": (png(RGBA.astype(np.uint16) * 256 + 77, 16, 6), RGBA),
    "16-bit grey PNG": (png(RGBA[..., [0, 3]].astype(np.uint16) * 256 + 77, 16, 4), np.dstack([GREY, RGBA[..., 3]])),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("background", ["#ffffff", "#000000", "#12a0ff"])
def test_transparent_pixels_show_the_background(kind: str, background: str, tmp_path: Path) -> None:
    content, rgba = FILES[kind]
    found = read(tmp_path, content, background)
    assert found.notes == TRANSPARENT
    colour = struct.unpack("BBB", bytes.fromhex(background[1:]))
    assert np.array_equal(found.pixels, laid_on(rgba, colour))


@pytest.mark.parametrize("kind", FILES)
def test_without_a_background_the_stored_colours_are_read(kind: str, tmp_path: Path) -> None:
    content, rgba = FILES[kind]
    found = read(tmp_path, content, NO_BACKGROUND)
    assert np.array_equal(found.pixels, rgba[..., :3])
    assert found.notes == TRANSPARENT


# Bits a sample, PNG colour type, channels, and the factor from a sample to 8 bits.
KEYS = [(1, 0, 1, 255), (2, 0, 1, 85), (4, 0, 1, 17), (8, 0, 1, 1), (16, 0, 1, 2**-8), (8, 2, 3, 1), (16, 2, 3, 2**-8)]


@pytest.mark.parametrize("depth, colour, channels, factor", KEYS)
def test_the_transparent_colour_of_a_png_is_found_at_any_depth(
    depth: int, colour: int, channels: int, factor: float, tmp_path: Path
) -> None:
    samples = RNG.integers(0, 2**depth, (SIDE, SIDE, channels), np.uint16)
    samples[0, 0] = samples[1, 1] = key = samples[5, 5]
    found = read(tmp_path, png(samples, depth, colour, struct.pack(f">{channels}H", *key)), "#00ff00")
    expected = np.broadcast_to((samples * factor).astype(np.uint8), (SIDE, SIDE, 3)).copy()
    expected[(samples == key).all(axis=2)] = (0, 255, 0)
    assert np.array_equal(found.pixels, expected)
    assert found.notes == TRANSPARENT


def test_transparent_palette_entries_show_the_background(tmp_path: Path) -> None:
    palette = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(1, 4), "P")
    palette.putpalette([9, 9, 9, 50, 60, 70, 1, 2, 3, 4, 5, 6])
    half = encoded(palette, "PNG", transparency=bytes([0, 128]))
    (row,) = read(tmp_path, half, "#ffffff", (1, 4)).pixels.tolist()
    assert row == [[255] * 3, [152, 157, 162], [1, 2, 3], [4, 5, 6]]
    (row,) = read(tmp_path, encoded(palette, "GIF", transparency=1), "#ffffff", (1, 4)).pixels.tolist()
    assert row == [[9] * 3, [255] * 3, [1, 2, 3], [4, 5, 6]]


def tiff(rgba: np.ndarray, extra_samples: int) -> bytes:
    """An uncompressed TIFF of samples uint8 [h, w, 4]; extra_samples: 1 for premultiplied, 2 for straight alpha."""
    content = bytearray(encoded(Image.fromarray(rgba), "TIFF"))
    entry = struct.pack("<HHI", 338, 3, 1)
    place = content.index(entry) + len(entry)
    content[place : place + 2] = struct.pack("<H", extra_samples)
    return bytes(content)


def test_premultiplied_colours_of_a_tiff_are_not_weighted_twice(tmp_path: Path) -> None:
    premultiplied = RGBA.copy()
    premultiplied[..., :3] = np.round(RGBA[..., :3] * (RGBA[..., 3:] / 255))
    found = read(tmp_path, tiff(premultiplied, 1), "#ffffff").pixels
    assert np.abs(found.astype(int) - laid_on(RGBA, (255, 255, 255))).max() <= 1
    assert np.array_equal(read(tmp_path, tiff(RGBA, 2), "#ffffff").pixels, laid_on(RGBA, (255, 255, 255)))


def test_the_background_comes_before_resizing_so_that_edges_have_no_dark_fringe(tmp_path: Path) -> None:
    drawing = np.zeros((64, 64, 4), np.uint8)  # red, on transparent black
    drawing[13:50, 13:50] = (255, 0, 0, 255)
    small = read(tmp_path, encoded(Image.fromarray(drawing), "PNG"), "#ffffff", (10, 10)).pixels
    assert small[..., 0].min() == 255


def test_an_opaque_image_has_no_note_and_is_unchanged(tmp_path: Path) -> None:
    opaque = RGBA.copy()
    opaque[..., 3] = 255
    found = read(tmp_path, encoded(Image.fromarray(opaque), "PNG"), "#ffffff")
    assert found.notes == ""
    assert np.array_equal(found.pixels, RGBA[..., :3])


def test_pictures_that_differ_only_in_their_opacity_are_not_copies(tmp_path: Path) -> None:
    circle, square = np.zeros((2, 32, 32, 4), np.uint8)
    square[8:20, 8:20, 3] = 255
    y, x = np.mgrid[:32, :32]
    circle[(y - 16) ** 2 + (x - 16) ** 2 < 80, 3] = 255
    files = [encoded(Image.fromarray(picture), "PNG") for picture in (circle, square)]
    for background in ("#ffffff", "#000000", NO_BACKGROUND):
        assert len({read(tmp_path, file, background).pixel_hash for file in files}) == 2


@pytest.mark.parametrize("kind", FILES)
def test_the_pixel_hash_depends_on_no_background(kind: str, tmp_path: Path) -> None:
    backgrounds = ("#ffffff", "#000000", NO_BACKGROUND)
    (found,) = {read(tmp_path, FILES[kind][0], background).pixel_hash for background in backgrounds}
    opaque = FILES[kind][1].copy()
    opaque[..., 3] = 255
    rgb = hashlib.sha256(f"{SIDE}x{SIDE}:".encode() + opaque[..., :3].tobytes()).hexdigest()
    assert found != rgb
    assert read(tmp_path, encoded(Image.fromarray(opaque), "PNG"), "#ffffff").pixel_hash == rgb


def test_each_background_has_a_cache_of_its_own() -> None:
    spaces = {Geometry(8, 8, "stretch", background).space for background in (NO_BACKGROUND, "#ffffff", "#000000")}
    assert len(spaces) == 3
