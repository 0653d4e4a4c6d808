"""Opening of an image by its content: its format, its size within the limit, and the scale that it is decoded at.

The limit of `data.max_megapixels` bounds the memory of a decoder. It holds for the decoded pixels: a JPEG is decoded at
1/2, 1/4 or 1/8 of its size where its inverse DCT can do so, and a JPEG above the limit is decoded at the largest of
these scales that is within it. A progressive JPEG saves no memory by that, because its decoder holds all coefficients.
"""

from __future__ import annotations

import io
import warnings
from functools import cache

from PIL import AvifImagePlugin, Image, ImageFile, PngImagePlugin

from transfercli.data.decoding.errors import UnusableError
from transfercli.data.file_formats import FORMATS, HEAD_BYTES, describe, format_of, stand_in

REDUCED_SIDE = 512  # smallest length in pixels of the shorter side of a reduced JPEG
REDUCTIONS = (8, 4, 2, 1)  # scale divisors that a JPEG decoder supports in its inverse DCT
MAX_COEFFICIENTS = 200_000_000  # pixels of a JPEG whose decoder holds all coefficients, 6 bytes a pixel at most
MAX_PNG_EXTRAS = 16 * 1024 * 1024  # bytes of an unpacked text or colour profile of a PNG; others are left out

_START_OF_SCAN, _STANDALONE = 0xDA, frozenset({0x01, 0xFF, *range(0xD0, 0xD9)})


def open_image(content: bytes, max_megapixels: float) -> ImageFile.ImageFile:
    """Open an image by its header, without decoding.

    Raises `UnusableError` if its format is not read, its header is damaged, or it would exceed `max_megapixels`.
    """
    if not content.strip(b"\0"):
        raise UnusableError("unreadable: only zero bytes")
    image = _open(content)
    if not isinstance(image.info.get("xmp", b""), (bytes, str)):  # Pillow searches it for an orientation
        del image.info["xmp"]
    width, height = image.size
    if width < 1 or height < 1:
        raise UnusableError(f"empty: {width}x{height} pixels")
    _check_size(image, content, max_megapixels)
    return image


def reduce_jpeg(image: Image.Image, least: int, max_megapixels: float) -> None:
    """Let a JPEG be decoded at the largest reduction whose shorter side has at least `least` pixels.

    It is reduced further if the pixels would exceed `max_megapixels`. Other formats stay as they are.
    """
    if image.format not in ("JPEG", "MPO"):
        return
    width, height = image.size
    fitting = [divisor for divisor in REDUCTIONS if _reduced_pixels(image, divisor) <= max_megapixels * 1e6]
    wanted = next((divisor for divisor in REDUCTIONS if min(width, height) // divisor >= least), 1)
    divisor = max(wanted, min(fitting, default=REDUCTIONS[0]))
    image.draft(None, (max(1, width // divisor), max(1, height // divisor)))


def reason_of(error: Exception) -> str:
    """Return a decoder's error as a short text."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"truncated: {text}" if "truncated" in text.lower() or isinstance(error, EOFError) else f"unreadable: {text}"


def _open(content: bytes) -> ImageFile.ImageFile:
    head = content[:HEAD_BYTES]
    name = format_of(head)
    if words := stand_in(head):
        raise UnusableError(words)
    if not name:
        kind, allowed = describe(head), f"not an image of an allowed format ({', '.join(FORMATS)})"
        raise UnusableError(f"{allowed}: it is {kind}" if kind else allowed)
    if name == "HEIF":
        _register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return Image.open(io.BytesIO(content), formats=(name,))
            except Image.UnidentifiedImageError:  # it has no reason
                return Image.OPEN[name][0](io.BytesIO(content), "")
    except Exception as error:
        kind, _, text = reason_of(error).partition(": ")
        raise UnusableError(f"{kind}: a {name} file, but {text}") from error


@cache
def _register_heif() -> None:
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnusableError("a HEIF file (HEIC): to read it, pip install 'transfercli[heif]'") from error
    register_heif_opener()


def _check_size(image: Image.Image, content: bytes, max_megapixels: float) -> None:
    """Raise `UnusableError` if the pixels or the coefficients of an image would take too much memory."""
    width, height = image.size
    limit, is_jpeg = max_megapixels * 1e6, image.format in ("JPEG", "MPO")
    if is_jpeg and width * height > max(limit, MAX_COEFFICIENTS) and _has_several_scans(image, content):
        limit, how = max(limit, MAX_COEFFICIENTS), "as a progressive JPEG it cannot be read at a smaller scale"
    elif _reduced_pixels(image, REDUCTIONS[0] if is_jpeg else 1) > limit:
        how = "also at 1/8 of its size" if is_jpeg else "only JPEGs can be read at a smaller scale"
    else:
        return
    raise UnusableError(
        f"too large: {width}x{height} is {width * height / 1e6:.1f} megapixels, data.max_megapixels allows "
        f"{limit / 1e6:g} ({how})"
    )


def _reduced_pixels(image: Image.Image, divisor: int) -> int:
    """Return the number of pixels at a reduction, whose sides are rounded up."""
    return -(-image.width // divisor) * -(-image.height // divisor)


def _has_several_scans(image: Image.Image, content: bytes) -> bool:
    """Return True for a JPEG that is progressive or whose first scan lacks some of its components."""
    if image.info.get("progressive"):
        return True
    at = 2
    while at + 4 <= len(content):
        marker = content[at + 1]
        if content[at] != 0xFF or marker in _STANDALONE:
            at += 1
        elif marker == _START_OF_SCAN:
            return content[at + 4] < len(image.getbands())
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return False


# A truncated file is unusable, also if another library has set this option of Pillow.
ImageFile.LOAD_TRUNCATED_IMAGES = False
# `max_megapixels` is the limit. Pillow's own, fixed one raises an error for JPEGs that are decoded at a smaller scale.
Image.MAX_IMAGE_PIXELS = None
PngImagePlugin.MAX_TEXT_CHUNK = MAX_PNG_EXTRAS
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each of the worker processes decodes a file
