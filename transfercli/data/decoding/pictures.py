"""Pictures of image files for people: upright, whole, in sRGB, and small, decoded as all images are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from transfercli.data.decoding.stream import CHUNK, Decoder
from transfercli.data.image import MAX_MEGAPIXELS, Decoded, Geometry, InputImage

WHITE = "#ffffff"  # under transparent pixels
OWN_SIZE = 64  # a picture up to this side keeps its own pixels: larger, they would only be blurred


def picture_geometry(side: int, max_megapixels: float = MAX_MEGAPIXELS) -> Geometry:
    """Return the geometry that `picture_of` takes pictures of at most `side` pixels from."""
    return Geometry(side, side, "pad", WHITE, max_megapixels=max_megapixels)


def picture_of(decoded: Decoded, geometry: Geometry) -> npt.NDArray[np.uint8] | None:
    """Return the picture in a decoded file without its padding, uint8 [h, w, 3]; None if it cannot be read."""
    if decoded.pixels is None:
        return None
    left, top, width, height = geometry.content_box(decoded.width, decoded.height)
    inner = decoded.pixels[top : top + height, left : left + width]
    if max(decoded.width, decoded.height) > OWN_SIZE:
        return inner
    own = Image.fromarray(inner).resize((decoded.width, decoded.height), Image.Resampling.BOX)
    return np.asarray(own)


def file_pictures(files: Sequence[str], side: int, workers: int = 1) -> Iterator[npt.NDArray[np.uint8] | None]:
    """Yield the picture of each file, in order, and None for one that cannot be read. Worker processes decode them."""
    geometry = picture_geometry(side)
    with Decoder(geometry, workers) as decoder:
        for start in range(0, len(files), CHUNK * workers):
            part = files[start : start + CHUNK * workers]
            futures = [
                decoder.submit([InputImage(file) for file in part[at : at + CHUNK]])
                for at in range(0, len(part), CHUNK)
            ]
            for future in futures:
                yield from (picture_of(decoded, geometry) for decoded in future.result())
