"""Kinds of image files that people have: how each is written from a photograph."""

from __future__ import annotations

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
    "grey PNG": ("png", lambda photo, file: photo.convert("L").save(file), 0),
    "grey PNG with transparency": ("png", lambda photo, file: _transparent(photo).convert("LA").save(file), 0),
    "black and white PNG": ("png", lambda photo, file: photo.convert("1").save(file), 0),
    "16-bit grey PNG": ("png", lambda photo, file: _deep(photo).save(file), 0),
    "huge PNG": ("png", lambda photo, file: _larger(photo, 6).save(file), 1),
    "GIF": ("gif", lambda photo, file: photo.save(file), 0),
    "BMP": ("bmp", lambda photo, file: photo.save(file), 0),
    "WebP": ("webp", lambda photo, file: photo.save(file), 0),
    "TIFF": ("tif", lambda photo, file: photo.save(file), None),
}
