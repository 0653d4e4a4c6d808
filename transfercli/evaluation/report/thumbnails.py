"""Small pictures for the report, made anew from pixels: nothing of the original file's metadata can come along."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.examples import Reader
from transfercli.evaluation.explain.heatmaps import Explanation, overlaid

SIDE = 128
SMALL_SIDE = 64
# Up to this side a lossless PNG is small, and JPEG would smear the few pixels there are.
LOSSLESS = 64


def thumbnails(indices: Iterable[int], read: Reader, side: int = SIDE) -> dict[int, str]:
    """A `data:` address for each index of the split."""
    wanted = np.unique(np.fromiter(indices, np.int64))
    # One at a time: a full-sized image of a large model is megabytes.
    return {int(index): image_data_url(read(np.asarray([index]))[0], side) for index in wanted}


def heatmap_pictures(explained: Mapping[int, Explanation], read: Reader) -> dict[int, tuple[str, str]]:
    """`data:` addresses for each explained image: Grad-CAM over it, and occlusion over it or ""."""
    found = {}
    for index, one in explained.items():
        image = shrunk(read(np.asarray([index]))[0], SIDE)
        covered = "" if one.occlusion is None else image_data_url(overlaid(image, one.occlusion))
        found[index] = (image_data_url(overlaid(image, one.heat)), covered)
    return found


def shrunk(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The same within `side` x `side` pixels, uint8 [h, w, 3]."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((side, side))
    return np.asarray(picture)


def image_data_url(image: npt.NDArray[np.uint8], side: int = SIDE) -> str:
    """A picture of at most `side` x `side` pixels from uint8 [H, W, 3]."""
    from PIL import Image

    picture = Image.fromarray(shrunk(image, side))
    buffer = io.BytesIO()
    if max(image.shape[:2]) <= LOSSLESS:
        picture.save(buffer, "PNG", optimize=True)
        return address("image/png", buffer.getvalue())
    picture.save(buffer, "JPEG", quality=82, optimize=True)
    return address("image/jpeg", buffer.getvalue())


def address(kind: str, content: bytes) -> str:
    """Bytes as a `data:` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
