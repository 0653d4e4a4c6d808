"""Pictures of a review: an image in its own shape, upright, as large as a page shows it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from transfercli.data.dataset import Record
from transfercli.data.decoding.decode import decode_file
from transfercli.data.recorded_images import read_cached
from transfercli.errors import ArtefactError
from transfercli.workflows.stored_run import StoredRun

LONGEST = 1024  # pixels of the longer side
SMALL = 96  # of one beside it
LOSSLESS = 256 * 256  # pixels up to which a picture is a PNG
Picture = tuple[bytes, str]


def picture_of(run: StoredRun, image: Record, place: str, longest: int) -> Picture:
    """Return a picture and its media type. Raises `ArtefactError` if neither the file nor the cache has the image.

    place: path of its file, which must still hold the same bytes; "" for an image that is no file.
    """
    pixels = _of_file(run, image, place, longest) if place else None
    if pixels is None:
        pixels = _of_cache(run, image)
    if pixels is None:
        raise ArtefactError("the picture cannot be read any more: its file is gone or has changed")
    return _encoded(pixels)


def _of_file(run: StoredRun, image: Record, place: str, longest: int) -> np.ndarray | None:
    """Return the pixels of a file in its own shape; None if it holds other bytes now, or none."""
    scale = min(1.0, longest / max(image.width, image.height, 1))
    height, width = (max(1, round(side * scale)) for side in (image.height, image.width))
    geometry = replace(run.reading.geometry, height=height, width=width, resize="stretch")
    decoded = decode_file(place, geometry)
    return decoded.pixels if decoded.sha256 == image.sha256 else None


def _of_cache(run: StoredRun, image: Record) -> np.ndarray | None:
    """Return the pixels of the image cache, in the shape of the network's input; None if it has none."""
    remaining = read_cached([image], run.reading)
    if image.path not in remaining.rows:
        return None
    return remaining.read(image.path)


def _encoded(pixels: np.ndarray) -> Picture:
    picture, file = Image.fromarray(pixels), io.BytesIO()
    if picture.width * picture.height <= LOSSLESS:
        picture.save(file, "PNG")
        return file.getvalue(), "image/png"
    picture.save(file, "JPEG", quality=90)
    return file.getvalue(), "image/jpeg"
