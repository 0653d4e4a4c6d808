from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfercli.data.decoding import decode
from transfercli.data.decoding.decode import decode_file
from transfercli.data.image import RESIZES, Decoded, Geometry

SMALL = Geometry(16, 16)
RNG = np.random.default_rng(7)
PHOTO = Image.fromarray(RNG.integers(0, 256, (12, 18, 3), dtype=np.uint8)).resize((180, 120), Image.Resampling.BICUBIC)
GREY16 = Image.fromarray((np.arange(40 * 30, dtype=np.uint16) * 54).reshape(30, 40))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def palette_with_alpha() -> Image.Image:
    image = PHOTO.quantize(16)
    image.info["transparency"] = 3
    return image


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, content: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", content) + chunk(b"IEND", b"")


def gif_animation() -> bytes:
    return encoded(
        PHOTO.quantize(32), "GIF", save_all=True, append_images=[PHOTO.rotate(180).quantize(32)], duration=50, loop=0
    )


JPEG, PNG = encoded(PHOTO, "JPEG", quality=95), encoded(PHOTO, "PNG")

# name -> bytes, and whether it is an image
CORPUS: dict[str, tuple[bytes, bool]] = {
    "plain.jpg": (JPEG, True),
    "plain.png": (PNG, True),
    "plain.bmp": (encoded(PHOTO, "BMP"), True),
    "plain.webp": (encoded(PHOTO, "WEBP", lossless=True), True),
    "plain.tif": (encoded(PHOTO, "TIFF", compression="tiff_lzw"), True),
    "progressive.jpg": (encoded(PHOTO, "JPEG", progressive=True), True),
    "cmyk.jpg": (encoded(PHOTO.convert("CMYK"), "JPEG"), True),
    "grey.jpg": (encoded(PHOTO.convert("L"), "JPEG"), True),
    "one_bit.png": (encoded(PHOTO.convert("1"), "PNG"), True),
    "grey16.png": (encoded(GREY16, "PNG"), True),
    "grey16.tif": (encoded(GREY16, "TIFF"), True),
    "palette_alpha.png": (encoded(palette_with_alpha(), "PNG"), True),
    "grey_alpha.png": (encoded(PHOTO.convert("LA"), "PNG"), True),
    "rgba.png": (encoded(PHOTO.convert("RGBA"), "PNG"), True),
    "animated.gif": (gif_animation(), True),
    "animated.webp": (encoded(PHOTO, "WEBP", save_all=True, append_images=[PHOTO.rotate(90)]), True),
    "pages.tif": (encoded(PHOTO, "TIFF", save_all=True, append_images=[PHOTO.rotate(90)]), True),
    "one_pixel.png": (encoded(PHOTO.resize((1, 1)), "PNG"), True),
    "one_row.png": (encoded(PHOTO.resize((3000, 1)), "PNG"), True),
    "png_named.jpg": (PNG, True),
    "rubbish_exif.jpg": (encoded(PHOTO, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff rubbish"), True),
    "bytes_behind.jpg": (JPEG + b"hidden" * 1000, True),
    "zero_bytes.jpg": (b"", False),
    "zeros.jpg": (bytes(5000), False),
    "text.jpg": (b"this is not a photograph\n" * 40, False),
    "html.png": (b"<!DOCTYPE html><html><body>404</body></html>", False),
    "script.svg.png": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', False),
    "truncated.jpg": (JPEG[: len(JPEG) // 2], False),
    "header_only.jpg": (JPEG[:200], False),
    "two_bytes.jpg": (b"\xff\xd8", False),
    "truncated.png": (PNG[: len(PNG) // 2], False),
    "truncated.bmp": (encoded(PHOTO, "BMP")[:900], False),
    "truncated.gif": (gif_animation()[:400], False),
    "truncated.webp": (encoded(PHOTO, "WEBP")[:300], False),
    "truncated.tif": (encoded(PHOTO, "TIFF")[:500], False),
    "signature_only.png": (b"\x89PNG\r\n\x1a\n", False),
    "bomb.png": (png_of(50_000, 50_000, zlib.compress(bytes(1000))), False),
    "over_the_limit.png": (png_of(8_000, 7_000, zlib.compress(bytes(1000))), False),
    "no_width.png": (png_of(0, 10, zlib.compress(b"")), False),
    "bad_checksum.png": (PNG[:60] + bytes([PNG[60] ^ 255]) + PNG[61:], False),
    "float.tif": (encoded(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF"), False),
    "portable.ppm.png": (encoded(PHOTO, "PPM"), False),
    "postscript.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", False),
    "icon.png": (encoded(PHOTO, "ICO"), False),
}


def decoded(folder: Path, content: bytes, geometry: Geometry = SMALL, name: str = "x") -> Decoded:
    path = folder / name
    path.write_bytes(content)
    return decode_file(str(path), geometry)


def pixels(folder: Path, image: Image.Image, kind: str, geometry: Geometry = SMALL, **options: Any) -> np.ndarray:
    found = decoded(folder, encoded(image, kind, **options), geometry)
    assert found.problem == ""
    assert found.pixels is not None
    return found.pixels


def expected(image: Image.Image, geometry: Geometry = SMALL) -> np.ndarray:
    return np.asarray(image.convert("RGB").resize((geometry.width, geometry.height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize("name", CORPUS)
def test_every_file_of_the_corpus_is_an_image_or_reported_with_a_reason(name: str, tmp_path: Path) -> None:
    content, usable = CORPUS[name]
    for resize in RESIZES:
        assert (decoded(tmp_path, content, Geometry(9, 14, resize), name).pixels is not None) is usable
    found = decoded(tmp_path, content, name=name)
    assert (found.problem == "") is usable, found.problem
    assert (found.pixels is not None) is usable
    if usable:
        assert found.pixels is not None
        assert found.pixels.shape == (16, 16, 3)
        assert found.pixels.dtype == np.uint8
        assert found.width > 0
        assert len(found.pixel_hash) == 64
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize(
    "name, reason",
    [
        ("zero_bytes.jpg", "zero bytes"),
        ("truncated.jpg", "truncated"),
        ("bomb.png", "too large"),
        ("over_the_limit.png", "8000x7000"),
        ("text.jpg", "not an image of an allowed format"),
        ("icon.png", "not an image of an allowed format"),
        ("float.tif", "floating-point"),
    ],
)
def test_the_reason_says_what_is_wrong(name: str, reason: str, tmp_path: Path) -> None:
    assert reason in decoded(tmp_path, CORPUS[name][0]).problem


def test_the_size_limit_acts_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(decode, "_upright", never)
    assert "megapixels" in decoded(tmp_path, CORPUS["over_the_limit.png"][0]).problem


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_turned_image_is_put_upright(kind: str, orientation: int, tmp_path: Path) -> None:
    upright = Image.fromarray(np.kron([[250, 20, 90], [5, 180, 60]], np.ones((40, 40))).astype(np.uint8)).convert("RGB")
    undo = {method: n for n, method in decode._TRANSPOSE.items()}
    method = next((m for m, n in undo.items() if n == orientation), None)
    inverse = {
        Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
        Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
    }
    stored = upright if method is None else upright.transpose(inverse.get(method, method))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 98} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    found = decoded(tmp_path, encoded(stored, kind, exif=exif, **options))
    assert (found.width, found.height) == (120, 80)
    assert found.pixels is not None
    assert np.abs(found.pixels.astype(int) - expected(upright)).max() <= 4


def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path: Path) -> None:
    high = Image.fromarray((np.asarray(GREY16) >> 8).astype(np.uint8))
    for kind in ("PNG", "TIFF"):
        assert np.array_equal(pixels(tmp_path, GREY16, kind), expected(high))


def test_the_first_frame_counts(tmp_path: Path) -> None:
    found = decoded(tmp_path, gif_animation())
    assert found.pixels is not None
    assert np.abs(found.pixels.astype(int) - expected(PHOTO.quantize(32))).max() <= 1


def test_cmyk_comes_out_in_its_colours(tmp_path: Path) -> None:
    flat = Image.new("RGB", (64, 64), (200, 40, 90))
    assert np.abs(pixels(tmp_path, flat.convert("CMYK"), "JPEG", quality=98).astype(int) - (200, 40, 90)).max() <= 6


def test_a_large_jpeg_is_reduced_while_decoding_and_looks_the_same(tmp_path: Path) -> None:
    large = PHOTO.resize((3000, 2000), Image.Resampling.BICUBIC)
    for side in (32, 224, 400):
        geometry = Geometry(side, side)
        found = pixels(tmp_path, large, "JPEG", geometry, quality=95)
        assert np.abs(found.astype(int) - expected(large, geometry)).mean() < 1.5


def test_the_pixel_hash_depends_on_the_file_and_not_on_the_target(tmp_path: Path) -> None:
    for image in (PHOTO, PHOTO.resize((3000, 2000))):
        content = encoded(image, "JPEG")
        targets = [Geometry(8, 8), Geometry(224, 100, "pad"), Geometry(700, 700, "crop")]
        assert len({decoded(tmp_path, content, target).pixel_hash for target in targets}) == 1


def test_the_pixel_hash_is_that_of_the_pixels_and_not_of_the_bytes(tmp_path: Path) -> None:
    found = [decoded(tmp_path, encoded(PHOTO, kind)) for kind in ("PNG", "BMP", "TIFF")]
    assert len({one.pixel_hash for one in found}) == 1
    assert len({one.sha256 for one in found}) == 3
    assert decoded(tmp_path, encoded(PHOTO.rotate(180), "PNG")).pixel_hash != found[0].pixel_hash


def test_crop_fills_and_pad_fits(tmp_path: Path) -> None:
    white = Image.new("RGB", (100, 50), "white")
    assert pixels(tmp_path, white, "PNG", Geometry(20, 20, "crop")).min() == 255
    padded = pixels(tmp_path, white, "PNG", Geometry(20, 20, "pad"))
    assert padded[10].min() == 255
    assert padded[0].max() == 0
    assert padded[-1].max() == 0
    left_is_red = white.copy()
    left_is_red.paste("red", (0, 0, 20, 50))
    assert np.array_equal(pixels(tmp_path, left_is_red, "PNG", Geometry(20, 20, "crop")), np.full((20, 20, 3), 255))


def test_the_filter_is_tensorflows_antialiased_one(tmp_path: Path, digit: Callable[[int], Image.Image]) -> None:
    import tensorflow as tf

    for image, geometry in ((PHOTO, Geometry(23, 31)), (digit(3), Geometry(70, 50))):
        theirs = tf.image.resize(np.asarray(image.convert("RGB")), (geometry.height, geometry.width), antialias=True)
        ours = pixels(tmp_path, image, "PNG", geometry)
        assert np.abs(ours - theirs.numpy()).max() <= 1.01


def test_what_is_no_regular_file_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("nowhere")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    names = ("pipe.jpg", "link.jpg", "folder.jpg", "missing.jpg", "loop.jpg", "nul\0.jpg", "x" * 300)
    problems = [decode_file(str(tmp_path / name), SMALL).problem for name in names]
    assert problems[:4] == ["not a regular file", "a broken link", "not a regular file", "does not exist"]
    assert all(problem.startswith("unreadable") for problem in problems[4:])


def test_names_may_hold_any_bytes(tmp_path: Path) -> None:
    for name in (b"a b.png", b"new\nline.png", "日本語.png".encode(), b"latin\xe9.png", b"quote\"'.png"):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(PNG)
        assert decode_file(str(path), SMALL).problem == ""


def test_every_cut_of_a_file_is_an_image_or_reported(tmp_path: Path) -> None:
    for name in ("plain.jpg", "plain.png", "animated.gif", "plain.webp", "plain.tif", "plain.bmp"):
        content = CORPUS[name][0]
        for end in range(0, len(content), max(1, len(content) // 40)):
            found = decoded(tmp_path, content[:end])
            assert (found.pixels is None) == bool(found.problem)


def test_flipped_bytes_never_escape_as_an_exception(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, (content, usable) in CORPUS.items():
        if not usable:
            continue
        for _ in range(6):
            broken = bytearray(content)
            for place in rng.integers(0, min(len(broken), 400), 4):
                broken[place] = rng.integers(0, 256)
            found = decoded(tmp_path, bytes(broken), name=name)
            assert (found.pixels is None) == bool(found.problem)
