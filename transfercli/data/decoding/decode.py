"""Decoding of one file to checked, upright RGB pixels of one size, and their hash; in workers and in this process.

Decisions that determine the pixels (`VERSION` must increase if one of them changes):

- The resize filter is Pillow's BILINEAR, a triangle filter widened for reduction. TensorFlow's `resize(antialias=True)`
  computes the same to a grey level, so that an exported artefact that starts from bytes agrees.
- Transparent pixels are laid on the geometry's background before the picture is resized (transparency.py).
- 16-bit samples keep their high byte; other samples are scaled by the tags of the file (levels.py).
- Colours of an embedded profile are converted to sRGB (colour_profiles.py), before the background is laid under them.
- The first frame of animations and multi-page files is used.
- A JPEG whose shorter side has at least 1,024 pixels is decoded at the largest DCT reduction that leaves 512 pixels; if
  the target size needs more, it is decoded again. The hashed pixels depend on the file only, not on the target size, so
  that an image keeps its split when `image_size` changes. Only a JPEG that is still above `max_megapixels` at this
  reduction depends on that limit, too.
- A PNG, JPEG or WebP that is refused for damaged data beside its pixels is decoded without it (without_extras.py).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from transfercli.data.archive_members import is_regular, read_bytes, state_of
from transfercli.data.decoding.colour_profiles import to_srgb
from transfercli.data.decoding.errors import UnusableError
from transfercli.data.decoding.levels import deep_colours, eight_bits, is_deep
from transfercli.data.decoding.opening import REDUCED_SIDE, open_image, reason_of, reduce_jpeg
from transfercli.data.decoding.transparency import lay_on, scale_colour_key, straight
from transfercli.data.decoding.without_extras import without_extras
from transfercli.data.image import CONVERT, FLAT, FLAT_LEVELS, TRANSPARENT, Decoded, FileState, Geometry
from transfercli.data.image_notes import DAMAGED_EXTRAS, REDUCED

MAX_BYTES = 512 * 1024 * 1024
NO_MEMORY = "needs more memory than there is"

_EXIF_ORIENTATION = 0x0112


def decode_file(path: str, geometry: Geometry, known: Callable[[str], bool] | None = None) -> Decoded:
    """Read, check, decode and resize one file; an error in the file is returned as its `problem`.

    Args:
        known: returns True for the SHA-256 of a content that is in the cache; it is then not decoded, and `pixels` and
            `problem` stay empty.
    """
    result = Decoded()
    try:
        content, state = _read(path)
        result = Decoded(hashlib.sha256(content).hexdigest(), state=state)
        if known is not None and known(result.sha256):
            return result
        return _decode(content, geometry, result)
    except UnusableError as reason:
        return replace(result, problem=str(reason))
    except MemoryError:
        return Decoded(problem=NO_MEMORY)  # no hash, so that it is tried again next time


def decode_bytes(content: bytes, geometry: Geometry) -> Decoded:
    """Check, decode and resize the content of a file as `decode_file` does; the result's `sha256` is empty."""
    try:
        if not content:
            raise UnusableError("zero bytes")
        if len(content) > MAX_BYTES:
            raise UnusableError(_too_large(len(content)))
        return _decode(content, geometry, Decoded())
    except UnusableError as reason:
        return Decoded(problem=str(reason))
    except MemoryError:
        return Decoded(problem=NO_MEMORY)


def array_sha256(image: np.ndarray) -> str:
    """Return the SHA-256 of an image's pixel bytes in row-major order."""
    return hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()


def resize_array(image: np.ndarray, geometry: Geometry) -> Decoded:
    """Resize an array, uint8 [h, w] or [h, w, 3]; the result's `sha256` is that of the pixel bytes."""
    sha256 = array_sha256(image)
    rgb = Image.fromarray(image).convert("RGB")
    return Decoded(sha256, _pixel_hash(rgb), rgb.width, rgb.height, pixels=_resized(rgb, geometry))


def _read(path: str) -> tuple[bytes, FileState]:
    """Return the content of a file, and its size and times from before reading."""
    try:
        if not is_regular(path):  # opening a pipe would block
            raise UnusableError("not a regular file")
        # The times are from before reading: a file that changes meanwhile is read again next time.
        state = state_of(path)
        if state.size == 0:
            raise UnusableError("zero bytes")
        if state.size > MAX_BYTES:
            raise UnusableError(_too_large(state.size))
        return read_bytes(path, MAX_BYTES), state
    except FileNotFoundError as error:
        raise UnusableError("a broken link" if Path(path).is_symlink() else "does not exist") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnusableError(f"unreadable: {reason.lower()}") from error


def _too_large(size: int) -> str:
    return f"too large: {size >> 20} MiB, at most {MAX_BYTES >> 20} are read"


def _decode(content: bytes, geometry: Geometry, result: Decoded) -> Decoded:
    """Decode an image; one that cannot be decoded is tried again without the data beside its pixels."""
    try:
        return _decode_version(content, geometry, result)
    except UnusableError:
        for version in without_extras(content):
            try:
                decoded = _decode_version(version, geometry, result)
            except UnusableError:
                continue
            return replace(decoded, notes=f"{decoded.notes} {DAMAGED_EXTRAS}".strip())
        raise


def _decode_version(content: bytes, geometry: Geometry, result: Decoded) -> Decoded:
    def opened(least: int) -> ImageFile.ImageFile:
        image = open_image(content, geometry.max_megapixels)
        reduce_jpeg(image, least, geometry.max_megapixels)
        return image

    image = open_image(content, geometry.max_megapixels)
    size, needed = image.size, 2 * max(geometry.height, geometry.width)
    try:
        reduce_jpeg(image, REDUCED_SIDE, geometry.max_megapixels)
        is_reduced = image.size != size
        picture = _upright(image, partial(opened, REDUCED_SIDE), geometry)
        pixel_hash = _pixel_hash(picture.stored)
        if is_reduced and min(picture.rgb.size) < needed:
            picture = _upright(opened(needed), partial(opened, needed), geometry)
    except UnusableError:
        raise
    except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, ...
        raise UnusableError(reason_of(error)) from error
    width, height = size[::-1] if picture.swapped else size
    notes = picture.notes + [REDUCED] * (width * height > geometry.max_megapixels * 1e6)
    pixels = _resized(picture.rgb, geometry)
    return replace(result, pixel_hash=pixel_hash, width=width, height=height, notes=" ".join(notes), pixels=pixels)


@dataclass(frozen=True, slots=True)
class _Picture:
    """Upright picture of 8 bits.

    Attributes:
        rgb: its pixels. stored: the same before a colour profile is applied and before it is laid on a background, so
            RGBA if it has transparent pixels.
        swapped: True if turning it upright swapped width and height.
        notes: words for `Decoded.notes`.
    """

    rgb: Image.Image
    stored: Image.Image
    swapped: bool
    notes: list[str]


def _upright(image: Image.Image, reopen: Callable[[], ImageFile.ImageFile], geometry: Geometry) -> _Picture:
    """Decode an opened image to upright 8-bit RGB."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scale_colour_key(image)
        deep = is_deep(image)
        image.load()
        # Read after loading: Pillow rotates a TIFF while loading and then removes its orientation.
        orientation = _orientation(image)
        samples, depth = deep_colours(image, reopen, geometry.levels) if deep else eight_bits(image, geometry.levels)
        stored = straight(samples)
        colours, profile = to_srgb(samples) if geometry.profiles == CONVERT else (samples, "")
        rgb = lay_on(stored if colours is samples else straight(colours), geometry.background)
    transparent = stored.mode == "RGBA"
    flat = transparent and np.ptp(np.array(rgb.getextrema()), axis=1).max() <= FLAT_LEVELS
    notes = [note for note in (TRANSPARENT * transparent, FLAT * bool(flat), depth, profile) if note]
    return _Picture(_turned(rgb, orientation), _turned(stored, orientation), orientation in {5, 6, 7, 8}, notes)


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    """Return a picture upright."""
    method = _TRANSPOSE.get(orientation)
    return picture if method is None else picture.transpose(method)


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


def _pixel_hash(picture: Image.Image) -> str:
    """Return the SHA-256 of the size and the RGB or RGBA bytes."""
    digest = hashlib.sha256(f"{picture.width}x{picture.height}:".encode())
    digest.update(np.ascontiguousarray(picture).data)
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
