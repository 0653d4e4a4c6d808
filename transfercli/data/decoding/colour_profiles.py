"""Colour profiles (ICC) embedded in images: colours are converted to sRGB, which networks are trained on.

The same picture of another camera or program has other numbers in another colour space. LittleCMS converts with the
perceptual intent, which for a profile of three primaries (Adobe RGB, Display P3) is the relative colorimetric one.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from transfercli.data.image_notes import BAD_PROFILE, CONVERTED

SAME = 2  # largest difference in levels between two descriptions of the same colour space
# Channels of a profile -> the mode that it converts from, without opacity.
_MODES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK"}
_GREY = frozenset({"1", "L", "LA", "La"})
_PROFILES = 16  # transforms that are kept; a data set has few profiles


def to_srgb(image: Image.Image) -> tuple[Image.Image, str]:
    """Return a loaded image of 8 bits with its colours in sRGB, and `CONVERTED`, `BAD_PROFILE` or "".

    An image without a profile, with that of sRGB, or with one that cannot be used is returned as it is. Its opacity
    stays as it is, too.
    """
    if "icc_profile" not in image.info:
        return image, ""
    try:
        mode = _mode_of(image.info["icc_profile"])
        if (image.mode in _GREY) < (mode == "L") or (image.mode == "CMYK") != (mode == "CMYK"):
            return image, BAD_PROFILE  # it describes other channels
        transform = _transform(image.info["icc_profile"], mode)
        return (image, "") if transform is None else (_converted(image, mode, transform), CONVERTED)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return image, BAD_PROFILE


def _converted(image: Image.Image, mode: str, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    """Return the image as RGB, or as RGBA if it has transparent pixels."""
    opacity = None
    if image.has_transparency_data:
        image = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        opacity = image.getchannel("A")
    colours = image if image.mode == mode else image.convert(mode)
    result = ImageCms.applyTransform(colours, transform)
    assert result is not None  # it is None only if the transform replaces the pixels in place
    if opacity:
        result.putalpha(opacity)
    return result


def _mode_of(profile: bytes) -> str:
    return _MODES.get(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space, "")


@lru_cache(_PROFILES)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None if it changes no colour by more than `SAME` levels."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode == "CMYK":
        return transform
    probe = _probe(mode)
    result = ImageCms.applyTransform(probe, transform)
    assert result is not None
    difference = np.abs(np.asarray(result, np.int16) - np.asarray(probe.convert("RGB"), np.int16))
    return transform if difference.max() > SAME else None


def _probe(mode: str) -> Image.Image:
    """Return all greys, or a grid of 9 x 9 x 9 colours."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = [*range(0, 256, 32), 255]
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3).astype(np.uint8))
