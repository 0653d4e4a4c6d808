"""Images as protocols send them: base64 of files, and nested or flat lists of levels."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.web.messages import Refusal

CHANNELS = 3
LEVELS = 256
MOST_SIDE = 65_535  # pixels of a row
FLAT_PIECE = 65_536  # numbers that are converted at once: others run between the pieces


def file_of_base64(text: Any, place: str) -> bytes:
    """Return the bytes of a file. place: of the text in the request, for messages. Raises `Refusal` if it is none."""
    if not isinstance(text, str):
        raise Refusal(400, "base64", f"{place} must be a string of base64")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, "base64", f"{place} is no base64: {error}") from error


def image_of_lists(rows: Any, place: str) -> np.ndarray:
    """Return uint8 [H, W, 3] of lists of whole numbers. Raises `Refusal` if they are no image."""
    if not isinstance(rows, list) or not rows or not all(_is_row(row) for row in rows):
        raise _no_image(place)
    try:
        image = np.stack([_levels(row) for row in rows])
    except ValueError as error:
        raise _no_image(place) from error
    if image.ndim != 3 or image.shape[2] != CHANNELS or image.size == 0:
        raise _no_image(place)
    return image


def _is_row(row: Any) -> bool:
    """Return True if a row may be one of pixels: NumPy reads it in one call, which nothing interrupts."""
    return isinstance(row, list) and 0 < len(row) <= MOST_SIDE and isinstance(row[0], list) and len(row[0]) == CHANNELS


def levels_of_list(values: Sequence[Any], place: str) -> np.ndarray:
    """Return uint8 [n] of a flat list of whole numbers. Raises `Refusal` if they are none from 0 to 255."""
    pieces = range(0, len(values), FLAT_PIECE)
    try:
        levels = [_levels(values[start : start + FLAT_PIECE]) for start in pieces]
    except ValueError as error:
        raise Refusal(400, "tensor", f"{place} must hold whole numbers from 0 to 255") from error
    return np.concatenate(levels) if levels else np.zeros(0, np.uint8)


def _levels(values: Any) -> np.ndarray:
    """Return uint8 of any shape. Raises `ValueError` if a value is no whole number from 0 to 255."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or array.min(initial=0) < 0 or array.max(initial=0) >= LEVELS:
        raise ValueError("no levels")
    return array.astype(np.uint8)


def _no_image(place: str) -> Refusal:
    return Refusal(
        400,
        "tensor",
        f"{place} must be an image: lists [height][width][{CHANNELS}] of whole numbers from 0 to {LEVELS - 1}",
        'the bytes of a file are {"b64": "…"}',
    )
