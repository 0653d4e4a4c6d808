"""Kinds of image files that people have: how each is written from a photograph."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Write = Callable[[Image.Image, Path], None]


def turned(photo: Image.Image, file: Path, endian: str = "<", orientation: int = 6) -> None:
    """As a camera writes it, the orientation between other entries; the pixels are stored as they are."""
    exif = Image.Exif()
    exif.endian = endian
    exif.update({0x010F: "maker", 0x0112: orientation, 0x0131: "software"})
    photo.save(file, exif=exif)


def _transparent(photo: Image.Image) -> Image.Image:
    photo = photo.convert("RGBA")
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    return photo


def _animated(photo: Image.Image, file: Path) -> None:
    """Two frames, the first with a palette of its own, a comment and a loop before it."""
    frames = [photo.quantize(32), photo.rotate(180).quantize(16)]
    frames[0].save(
        file, save_all=True, append_images=frames[1:], loop=0, comment=b"a comment", transparency=3, disposal=2
    )


def _animated_webp(photo: Image.Image, file: Path) -> None:
    photo.save(file, save_all=True, append_images=[photo.rotate(180)])


def _bmp_with_alpha(photo: Image.Image, file: Path) -> None:
    """As image editors write it, with a mask for each channel."""
    pixels = np.asarray(_transparent(photo))[::-1, :, [2, 1, 0, 3]]
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    info = struct.pack("<IiiHHIIiiII", 108, photo.width, photo.height, 1, 32, 3, pixels.nbytes, 0, 0, 0, 0)
    header = info + masks + bytes(108 - len(info) - len(masks))
    start = struct.pack("<2sIHHI", b"BM", 14 + len(header) + pixels.nbytes, 0, 0, 14 + len(header))
    file.write_bytes(start + header + pixels.tobytes())


def _deep(photo: Image.Image) -> Image.Image:
    grey = np.asarray(photo.convert("L")).astype(np.uint16)
    return Image.fromarray(grey * 256 + 77)


def _larger(photo: Image.Image, times: int) -> Image.Image:
    return photo.resize((photo.width * times, photo.height * times), Image.Resampling.BICUBIC)


# Kind -> extension, its writer, and the largest difference in grey levels between what the program sees and what the
# graph of `serve_bytes` does; None where that refuses the file.
KINDS: dict[str, tuple[str, Write, int | None]] = {
    "grey JPEG": ("jpg", lambda photo, file: photo.convert("L").save(file), 0),
    "progressive JPEG": ("jpg", lambda photo, file: photo.save(file, progressive=True), 0),
    "JPEG with full chroma": ("jpg", lambda photo, file: photo.save(file, subsampling=0), 0),
    "huge JPEG": ("jpg", lambda photo, file: _larger(photo, 12).save(file), 1),
    "CMYK JPEG": ("jpg", lambda photo, file: photo.convert("CMYK").save(file), 1),
    "JPEG turned by EXIF": ("jpg", turned, 0),
    "palette PNG": ("png", lambda photo, file: photo.quantize(64).save(file), 0),
    "palette PNG, one colour transparent": (
        "png",
        lambda photo, file: photo.quantize(64).save(file, transparency=3),
        0,
    ),
    "PNG with transparency": ("png", lambda photo, file: _transparent(photo).save(file), 0),
    "PNG with a transparent colour": (
        "png",
        lambda photo, file: photo.save(file, transparency=photo.getpixel((9, 9))),
        0,
    ),
    "grey PNG": ("png", lambda photo, file: photo.convert("L").save(file), 0),
    "grey PNG with transparency": ("png", lambda photo, file: _transparent(photo).convert("LA").save(file), 0),
    "black and white PNG": ("png", lambda photo, file: photo.convert("1").save(file), 0),
    "PNG of 16 colours": ("png", lambda photo, file: photo.quantize(16).save(file), 0),
    "PNG of 4 colours, one transparent": ("png", lambda photo, file: photo.quantize(4).save(file, transparency=1), 0),
    "16-bit grey PNG": ("png", lambda photo, file: _deep(photo).save(file), 0),
    "huge PNG": ("png", lambda photo, file: _larger(photo, 6).save(file), 1),
    "GIF with transparency": ("gif", lambda photo, file: photo.quantize(64).save(file, transparency=3), 0),
    "animated GIF with transparency": ("gif", _animated, 0),
    "GIF": ("gif", lambda photo, file: photo.save(file), 0),
    "BMP": ("bmp", lambda photo, file: photo.save(file), 0),
    "WebP with transparency": ("webp", lambda photo, file: _transparent(photo).save(file), 0),
    "lossless WebP with transparency": (
        "webp",
        lambda photo, file: _transparent(photo).save(file, lossless=True, exact=True),
        0,
    ),
    "animated WebP": ("webp", _animated_webp, None),
    "animated WebP with transparency": (
        "webp",
        lambda photo, file: _animated_webp(_transparent(photo), file),
        None,
    ),
    "BMP with transparency": ("bmp", _bmp_with_alpha, 0),
    "WebP": ("webp", lambda photo, file: photo.save(file), 0),
    "TIFF": ("tif", lambda photo, file: photo.save(file), None),
}
