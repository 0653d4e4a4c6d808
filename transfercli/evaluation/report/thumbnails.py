"""Small pictures for the report, encoded from pixels, so that they contain no metadata of the original file."""

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
# Images up to this side are stored as PNG, which is small for them; JPEG would blur their few pixels.
LOSSLESS = 64


def thumbnails(indices: Iterable[int], read: Reader, side: int = SIDE) -> dict[int, str]:
    """Return a `data:` URL for each index of the split."""
    distinct = np.unique(np.fromiter(indices, np.int64))
    # One image at a time, to keep little in memory.
    return {int(index): image_data_url(read(np.asarray([index]))[0], side) for index in distinct}


def heatmap_pictures(explained: Mapping[int, Explanation], read: Reader) -> dict[int, tuple[str, str]]:
    """Return for each explained image the `data:` URLs of its overlays by gradients and by occlusion, or ""."""
    return {index: overlay_urls(read(np.asarray([index]))[0], explanation) for index, explanation in explained.items()}


def overlay_urls(image: npt.NDArray[np.uint8], explanation: Explanation) -> tuple[str, str]:
    """Return the `data:` URLs of an image [H, W, 3] under its heat maps by gradients and by occlusion, or ""."""
    small = shrunk(image, SIDE)
    occlusion = "" if explanation.occlusion is None else image_data_url(overlaid(small, explanation.occlusion))
    return image_data_url(overlaid(small, explanation.heat)), occlusion


def shrunk(image: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """Return the image reduced to at most `side` x `side` pixels, uint8 [h, w, 3]."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((side, side))
    return np.asarray(picture)


def image_data_url(image: npt.NDArray[np.uint8], side: int = SIDE) -> str:
    """Return the `data:` URL of an image uint8 [H, W, 3], reduced to at most `side` x `side` pixels."""
    content = encoded(shrunk(image, side), lossless=max(image.shape[:2]) <= LOSSLESS)
    return data_url(kind_of(content), content)


def encoded(image: npt.NDArray[np.uint8], *, lossless: bool) -> bytes:
    """Return an image uint8 [H, W, 3] as PNG if it is to be lossless, else as JPEG."""
    from PIL import Image

    picture, buffer = Image.fromarray(np.ascontiguousarray(image)), io.BytesIO()
    if lossless:
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "JPEG", quality=82, optimize=True)
    return buffer.getvalue()


def kind_of(content: bytes) -> str:
    """Return the media type of what `encoded` returns."""
    return "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"


def data_url(kind: str, content: bytes) -> str:
    """Return bytes as a `data:` URL."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
