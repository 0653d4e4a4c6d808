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


def straight(image: Image.Image) -> Image.Image:
    """Return a loaded image of 8 bits as RGBA with colours that are not weighted; as RGB if every pixel is opaque."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA") if image.mode != "La" else image.convert("LA").convert("RGBA")
    return rgba.convert("RGB") if rgba.getchannel("A").getextrema() == (255, 255) else rgba


def lay_on(picture: Image.Image, background: str) -> Image.Image:
    """Return the result of `straight` as RGB without transparency.

    The sum of colour and background, weighted by the opacity, is rounded to the nearest level.

    Args:
        background: `#rrggbb`, or `NO_BACKGROUND` to keep the stored colours.
    """
    colours = picture.convert("RGB")
    if picture.mode == "RGB" or background == NO_BACKGROUND:
        return colours
    canvas = Image.new("RGB", picture.size, background)
    canvas.paste(colours, mask=picture.getchannel("A"))
    return canvas
