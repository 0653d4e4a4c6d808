"""Decoding of one file to checked, upright RGB pixels of one size, and their hash; in workers and in this process.

Decisions that determine the pixels (`VERSION` must increase if one of them changes):

- The resize filter is Pillow's BILINEAR, a triangle filter widened for reduction. TensorFlow's `resize(antialias=True)`
  computes the same to a grey level, so that an exported artefact that starts from bytes agrees.
- Transparency is dropped, not composited, as in Keras, torchvision and TensorFlow's decoders, for the same reason.
- 16-bit grey keeps its high byte. Floating-point and 32-bit pixels have no agreed range and are refused.
- The first frame of animations and multi-page files is used.
- A JPEG whose shorter side has at least 1,024 pixels is decoded at the largest DCT reduction that leaves 512 pixels; if
  the target size needs more, it is decoded again. The hashed pixels depend on the file only, not on the target size, so
  that an image keeps its split when `image_size` changes.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from transfercli.data.file_signatures import HEAD_BYTES, stand_in
from transfercli.data.image import Decoded, FileState, Geometry

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF")
MAX_PIXELS = 50_000_000
MAX_BYTES = 512 * 1024 * 1024
REDUCED_SIDE = 512  # smallest length in pixels of the shorter side of a reduced JPEG

_EXIF_ORIENTATION = 0x0112


class _UnusableError(Exception):
    """Raised if a file cannot be used; the message is shown to the user."""


def decode_file(path: str, geometry: Geometry, known: Callable[[str], bool] | None = None) -> Decoded:
    """Read, check, decode and resize one file; an error in the file is returned as its `problem`.

    Args:
        known: returns True for the SHA-256 of a content that is in the cache; it is then not decoded, and `pixels` and
            `problem` stay empty.
    """
    result = Decoded()
    try:
        content, info = _read(path)
        result = Decoded(hashlib.sha256(content).hexdigest(), state=FileState.of(info))
        if known is not None and known(result.sha256):
            return result
        return _decode(content, geometry, result)
    except _UnusableError as reason:
        return replace(result, problem=str(reason))
    except MemoryError:
        return Decoded(problem="needs more memory than there is")  # no hash, so that it is tried again next time


def array_sha256(image: np.ndarray) -> str:
    """Return the SHA-256 of an image's pixel bytes in row-major order."""
    return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()


def resize_array(image: np.ndarray, geometry: Geometry) -> Decoded:
    """Resize an array, uint8 [h, w] or [h, w, 3]; the result's `sha256` is that of the pixel bytes."""
    sha256 = array_sha256(image)
    rgb = Image.fromarray(image).convert("RGB")
    return Decoded(sha256, _pixel_hash(rgb), rgb.width, rgb.height, pixels=_resized(rgb, geometry))


def _read(path: str) -> tuple[bytes, os.stat_result]:
    """Return the content of a file, and its size and times from before reading."""
    try:
        info = Path(path).stat()
        if not stat.S_ISREG(info.st_mode):  # opening a pipe would block
            raise _UnusableError("not a regular file")
        if info.st_size == 0:
            raise _UnusableError("zero bytes")
        if info.st_size > MAX_BYTES:
            raise _UnusableError(f"too large: {info.st_size >> 20} MiB, at most {MAX_BYTES >> 20} are read")
        # The times are from before reading: a file that changes meanwhile is read again next time.
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES), info
    except FileNotFoundError as error:
        raise _UnusableError("a broken link" if Path(path).is_symlink() else "does not exist") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _UnusableError(f"unreadable: {reason.lower()}") from error


def _decode(content: bytes, geometry: Geometry, result: Decoded) -> Decoded:
    image = _open(content)
    size = image.size
    needed = 2 * max(geometry.height, geometry.width)
    try:
        image.draft(None, (REDUCED_SIDE, REDUCED_SIDE))  # no effect on other formats
        reduced = image.size != size
        rgb, swapped = _rgb(image)
        pixel_hash = _pixel_hash(rgb)
        if reduced and min(rgb.size) < needed:
            again = _open(content)
            again.draft(None, (needed, needed))
            rgb, swapped = _rgb(again)
    except _UnusableError:
        raise
    except Exception as error:  # decoders of six formats raise OSError, ValueError, SyntaxError, struct.error, ...
        raise _UnusableError(_reason(error)) from error
    width, height = size[::-1] if swapped else size
    return replace(result, pixel_hash=pixel_hash, width=width, height=height, pixels=_resized(rgb, geometry))


def _open(content: bytes) -> Image.Image:
    """Open an image and check its format and size by the header, without decoding."""
    if not content.strip(b"\0"):
        raise _UnusableError("unreadable: only zero bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=FORMATS)
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise _UnusableError(f"too large: more than {MAX_PIXELS // 1_000_000} megapixels") from error
    except Image.UnidentifiedImageError as error:
        reason = stand_in(content[:HEAD_BYTES]) or f"not an image of an allowed format ({', '.join(FORMATS)})"
        raise _UnusableError(reason) from error
    except Exception as error:
        raise _UnusableError(_reason(error)) from error
    if width * height > MAX_PIXELS:
        limit = f"at most {MAX_PIXELS // 1_000_000} are read"
        raise _UnusableError(f"too large: {width}x{height} is {width * height / 1e6:.1f} megapixels, {limit}")
    if width < 1 or height < 1:
        raise _UnusableError(f"empty: {width}x{height} pixels")
    return image


def _rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """Decode to upright 8-bit RGB; also return True if that swapped width and height."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.load()
        # Read after loading: Pillow rotates a TIFF while loading and then removes its orientation.
        orientation = _orientation(image)
        rgb = _to_rgb(image)
    method = _TRANSPOSE.get(orientation)
    return (rgb if method is None else rgb.transpose(method)), orientation in {5, 6, 7, 8}


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 is upright."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # damaged EXIF; the pixels may be intact
        return 1


_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        raise _UnusableError("floating-point pixels have no agreed range: save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise _UnusableError("32-bit pixels have no agreed range: save it with 8 or 16 bits")
        return Image.fromarray((levels >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _pixel_hash(rgb: Image.Image) -> str:
    """Return the SHA-256 of the size and the RGB bytes."""
    digest = hashlib.sha256(f"{rgb.width}x{rgb.height}:".encode())
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()


def _resized(rgb: Image.Image, geometry: Geometry) -> np.ndarray:
    """Return uint8 [H, W, 3]: `stretch` ignores the aspect ratio, `crop` keeps the centre, `pad` adds black bars."""
    size, triangle = (geometry.width, geometry.height), Image.Resampling.BILINEAR
    if geometry.resize == "crop":
        image = ImageOps.fit(rgb, size, triangle)
    elif geometry.resize == "pad":
        left, top, *inner = geometry.content_box(rgb.width, rgb.height)
        image = Image.new("RGB", size)
        image.paste(rgb.resize((inner[0], inner[1]), triangle), (left, top))
    else:
        image = rgb if rgb.size == size else rgb.resize(size, triangle)
    return np.array(image)


def _reason(error: Exception) -> str:
    """Return a decoder's error as a short text."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return f"too large: {text}"
    return f"truncated: {text}" if "truncated" in text.lower() or isinstance(error, EOFError) else f"unreadable: {text}"


# A truncated file is unusable, also if another library has set this option of Pillow.
ImageFile.LOAD_TRUNCATED_IMAGES = False
