"""Samples of 12, 16 and 32 bits as 8-bit samples, by the range that the file gives.

A file says how many bits a sample has (PNG: bit depth; TIFF: BitsPerSample) and, in TIFF, whether 0 is white
(PhotometricInterpretation) and whether samples are signed or floating-point (SampleFormat). Unsigned integers span
their bits. Other samples have no agreed range: it must be in the tags (S)MinSampleValue and (S)MaxSampleValue, or the
file is refused. TIFF 6.0 calls these tags statistics, so they narrow the range of unsigned integers only to a whole
number of bits, such as 4,095; a picture's own extremes would give every picture its own contrast. PNG's sBIT chunk is
no range: its samples are already scaled to the full depth (PNG specification, 13.12).

Many cameras store 12 bits in files that declare 16. Such images come out dark; `data.levels: stretch` takes the
range from the samples: the smallest of `DEPTHS` that holds the brightest one, for every image by itself.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from transfercli.data.decoding.errors import UnusableError
from transfercli.data.image import EARLIER, STRETCH
from transfercli.data.image_notes import depth_note

DEPTHS = (8, 10, 12, 14)  # bits of cameras and scanners, below the 16 of the file

_MIN_SAMPLE_VALUE, _MAX_SAMPLE_VALUE, _S_MIN_SAMPLE_VALUE, _S_MAX_SAMPLE_VALUE = 280, 281, 340, 341
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_KINDS = {_UNSIGNED: "unsigned", _SIGNED: "signed", _FLOAT: "floating-point"}
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
_SPLIT = ("RGB;16", "RGBA;16")  # layouts of which Pillow can read the high and the low bytes


def eight_bits(image: Image.Image, levels: str) -> tuple[Image.Image, str]:
    """Return a loaded image with samples of 8 bits, and a note if a grey one uses fewer bits than it declares.

    Raises `UnusableError` if the range of the samples is not certain.

    Args:
        levels: `tags`, `stretch` or `earlier`.
    """
    if levels == EARLIER:
        return _high_bytes(image), ""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    kind = _number(tags, SAMPLEFORMAT, _UNSIGNED)
    if image.mode == "L" and kind == _SIGNED:
        samples = np.asarray(image).view(np.int8)
    elif image.mode.startswith(("I", "F")):
        samples = np.asarray(image)
    else:
        return image, ""
    if samples.dtype.kind == "u":
        grey, note = _unsigned(samples, tags, levels)
    else:
        grey, note = _of_declared_range(samples, tags, kind), ""
    if _number(tags, PHOTOMETRIC_INTERPRETATION, 1) == 0:  # WhiteIsZero
        grey = 255 - grey
    result, key = Image.fromarray(grey), image.info.get("transparency")
    if isinstance(key, int):  # one of 65,536 levels is transparent
        result.putalpha(Image.fromarray((samples != key).astype(np.uint8) * 255))
    return _with_profile_of(image, result), note


def is_deep(image: Image.Image) -> bool:
    """Return True for an image that is not loaded yet and has RGB samples of 16 bits, of which Pillow keeps 8."""
    return ";16" in _layout(image) and image.mode in ("RGB", "RGBA")


def deep_colours(high: Image.Image, reopen: Callable[[], ImageFile.ImageFile], levels: str) -> tuple[Image.Image, str]:
    """Return an image of 16-bit colours with samples of 8 bits, and a note if it uses fewer bits.

    Raises `UnusableError` if it has to be stretched and Pillow cannot read the low bytes.

    Args:
        high: the loaded image, with the high byte of each sample.
        reopen: opens the same image again.
        levels: `tags`, `stretch` or `earlier`.
    """
    if levels == EARLIER:
        return high, ""
    high_bytes = np.asarray(high).astype(np.uint16)[..., :3] << 8
    used, stretched = _depth_in_use(int(high_bytes.max())), levels == STRETCH
    if used == 16:
        return high, ""
    again = reopen()
    layout = _layout(again)
    if not layout.startswith(_SPLIT):
        if stretched:
            channels = layout.partition(";")[0]
            raise UnusableError(f"16-bit samples ({channels}) that use {used} bits cannot be stretched: save it as RGB")
        return high, depth_note(used, 16, stretched=False)
    samples = high_bytes | np.asarray(_low_bytes(again))[..., :3]
    note = depth_note(used, 16, stretched=stretched) if samples.any() else ""
    if not stretched:
        return high, note
    result = Image.fromarray((samples >> (used - 8)).astype(np.uint8))
    if high.has_transparency_data:
        result.putalpha(high.convert("RGBA").getchannel("A"))
    return _with_profile_of(high, result), note


def _high_bytes(image: Image.Image) -> Image.Image:
    """Return an image with the high byte of grey samples of 16 bits, as Pillow decodes them; no tag of a TIFF counts.

    Raises `UnusableError` for floating-point samples, and for integers beyond 16 unsigned bits.
    """
    if image.mode == "F":
        raise UnusableError("floating-point pixels have no agreed range: save it with 8 or 16 bits")
    if not image.mode.startswith("I"):
        return image
    samples = np.asarray(image).astype(np.int64)
    if samples.min() < 0 or samples.max() > 65535:
        raise UnusableError("32-bit pixels have no agreed range: save it with 8 or 16 bits")
    return _with_profile_of(image, Image.fromarray((samples >> 8).astype(np.uint8)))


def _with_profile_of(image: Image.Image, result: Image.Image) -> Image.Image:
    if "icc_profile" in image.info:
        result.info["icc_profile"] = image.info["icc_profile"]
    return result


def _low_bytes(image: ImageFile.ImageFile) -> ImageFile.ImageFile:
    """Load an image of 16-bit colours with the low byte of each sample."""
    layout = _layout(image)
    swapped = layout[:-1] + _OTHER_ORDER[layout[-1]]  # Pillow then takes the other byte for the high one
    image.tile = [
        tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped)
        for tile in image.tile
    ]
    image.load()
    return image


def _layout(image: Image.Image) -> str:
    """Return Pillow's name of the samples' layout in the file, such as `RGB;16B`; "" if it has none."""
    tiles = getattr(image, "tile", [])
    arguments = tiles[0].args if tiles else ""
    layout = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return layout if isinstance(layout, str) else ""


def _unsigned(samples: np.ndarray, tags: Mapping[int, Any], levels: str) -> tuple[np.ndarray, str]:
    """Return uint8 samples of unsigned ones with 8 to 16 bits, and a note if they use fewer than declared."""
    declared, brightest = _declared_depth(tags), int(samples.max())
    if brightest >= 1 << declared:
        raise UnusableError(f"samples of up to {brightest:,}, but the file declares {declared} bits: save it again")
    used = min(_depth_in_use(brightest), declared)
    stretched = levels == STRETCH
    note = depth_note(used, declared, stretched=stretched) if used < declared and brightest else ""
    return _scaled(samples, 0, (1 << (used if stretched else declared)) - 1), note


def _declared_depth(tags: Mapping[int, Any]) -> int:
    """Return the bits of unsigned samples; MaxSampleValue counts if it is the largest number of fewer bits."""
    bits = int(_number(tags, BITSPERSAMPLE, 16))
    low, high = _number(tags, _MIN_SAMPLE_VALUE, 0), _number(tags, _MAX_SAMPLE_VALUE, 0)
    depth = int(high + 1).bit_length() - 1 if math.isfinite(high) else 0
    return depth if low == 0 and 0 < depth < bits and high == (1 << depth) - 1 else bits


def _depth_in_use(brightest: int) -> int:
    return next((depth for depth in DEPTHS if brightest < 1 << depth), 16)


def _of_declared_range(samples: np.ndarray, tags: Mapping[int, Any], kind: float) -> np.ndarray:
    """Return uint8 samples of signed, 32-bit or floating-point ones, by the range that the tags declare."""
    if samples.dtype == np.int32 and kind == _UNSIGNED:
        samples = samples.view(np.uint32)
    name = f"{_KINDS.get(int(kind), 'other')} samples of {_number(tags, BITSPERSAMPLE, 32):g} bits"
    low = _number(tags, _S_MIN_SAMPLE_VALUE, _number(tags, _MIN_SAMPLE_VALUE, math.nan))
    high = _number(tags, _S_MAX_SAMPLE_VALUE, _number(tags, _MAX_SAMPLE_VALUE, math.nan))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UnusableError(f"{name} have no agreed range, and its tags give none: save it with 8 or 16 unsigned bits")
    darkest, brightest = float(samples.min()), float(samples.max())
    if not (low <= darkest and brightest <= high):  # also if they are not numbers
        raise UnusableError(
            f"{name} from {darkest:g} to {brightest:g}, but its tags declare {low:g} to {high:g}: save it again"
        )
    if (low, high) == (darkest, brightest) and not _is_usual(low, high):
        raise UnusableError(
            f"{name} whose declared range, {low:g} to {high:g}, is that of this picture alone: "
            "save it with 8 or 16 unsigned bits"
        )
    return _scaled(samples.astype(np.float64), low, high)


def _is_usual(low: float, high: float) -> bool:
    """Return True for the range 0 to 1, -1 to 1, and for ranges of whole numbers that are a number of bits wide."""
    width = high - low
    return (low, high) in ((0, 1), (-1, 1)) or (
        low.is_integer() and width.is_integer() and math.log2(width + 1) % 1 == 0
    )


def _scaled(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return uint8 samples: the highest 8 bits of whole numbers of 8 bits or more, else rounded to the next level."""
    width = int(high - low)
    if samples.dtype.kind == "u" and width >= 255:
        return (samples >> (width.bit_length() - 8)).astype(np.uint8)
    return np.floor((samples.astype(np.float64) - low) * (255 / (high - low)) + 0.5).astype(np.uint8)


def _number(tags: Mapping[int, Any], tag: int, default: float) -> float:
    """Return the value of a tag, or the first of several; `default` if the tag is missing or not a number."""
    value = tags.get(tag, default)
    if isinstance(value, tuple):
        value = value[0] if value else default
    try:
        return float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return default
