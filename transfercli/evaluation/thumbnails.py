"""Small pictures for the report, made anew from pixels: nothing of the original file's metadata can come along."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.cases import Reader

SIDE = 128
# Up to this side a lossless PNG is small, and JPEG would smear the few pixels there are.
LOSSLESS = 64


def thumbnails(indices: Iterable[int], read: Reader) -> dict[int, str]:
    """A `data:` address for each index of the split."""
    wanted = np.unique(np.fromiter(indices, np.int64))
    # One at a time: a full-sized image of a large model is megabytes.
    return {int(index): data_address(read(np.asarray([index]))[0]) for index in wanted}


def data_address(image: npt.NDArray[np.uint8]) -> str:
    """A picture of at most 128 x 128 pixels from uint8 [H, W, 3]."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    if max(picture.size) <= LOSSLESS:
        picture.save(buffer, "PNG", optimize=True)
        return address("image/png", buffer.getvalue())
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return address("image/jpeg", buffer.getvalue())


def address(kind: str, content: bytes) -> str:
    """Bytes as a `data:` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
