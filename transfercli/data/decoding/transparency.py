"""Transparent pixels: a picture is laid on a background of one colour before it is resized.

A file stores arbitrary colours, mostly black, for its transparent pixels. Resizing would mix them into the visible
ones along every edge, so the background comes first. Resizing both afterwards is linear, and gives the same result as
resizing the colours weighted by their opacity.
"""

from __future__ import annotations

from PIL import Image

from transfercli.data.image import NO_BACKGROUND

_GREY_SCALES = {"L;2": 85, "L;4": 17}  # what Pillow multiplies grey PNG samples of 2 and 4 bits by, but not their key


def scale_colour_key(image: Image.Image) -> None:
    """Scale the transparent colour of a PNG to the 8 bits of its decoded pixels; call it before the image is loaded.

    A colour of 3 x 16 bits keeps its high bytes, as the pixels do, so that it also matches colours next to it.
    """
    key, tiles = image.info.get("transparency"), getattr(image, "tile", None)
    layout = tiles[0].args if tiles else None
    if isinstance(key, int) and layout in _GREY_SCALES:
        image.info["transparency"] = key * _GREY_SCALES[str(layout)]
    elif isinstance(key, tuple) and layout == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)


def lay_on(image: Image.Image, background: str) -> tuple[Image.Image, bool]:
    """Return a loaded image as 8-bit RGB without transparency, and True if any of its pixels was transparent.

    The sum of colour and background, weighted by the opacity, is rounded to the nearest level.

    Args:
        background: `#rrggbb`, or `NO_BACKGROUND` to keep the stored colours.
    """
    if not image.has_transparency_data:
        return image.convert("RGB"), False
    straight = image.convert("RGBA") if image.mode != "La" else image.convert("LA").convert("RGBA")
    opacity = straight.getchannel("A")
    transparent = opacity.getextrema() != (255, 255)
    if background == NO_BACKGROUND or not transparent:
        return image.convert("RGB") if image.mode not in ("La", "RGBa") else straight.convert("RGB"), transparent
    canvas = Image.new("RGB", image.size, background)
    canvas.paste(straight.convert("RGB"), mask=opacity)
    return canvas, True
