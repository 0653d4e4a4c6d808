"""Contact sheets: one picture of many images of a class, drawn from pixels, without metadata of the files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from transfercli.rows import Rows

if TYPE_CHECKING:
    from PIL import Image

COLUMNS, ROWS = 10, 10
TILE, GAP = 96, 4
PAPER = (150, 156, 164)  # between the tiles: grey, so that white and black images have a visible border on any page


def evenly_spaced(rows: npt.NDArray[np.int64], most: int = COLUMNS * ROWS) -> npt.NDArray[np.int64]:
    """Return at most `most` of the rows, evenly spaced, in their order."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def contact_sheet(images: Rows, rows: npt.NDArray[np.int64], columns: int = COLUMNS) -> npt.NDArray[np.uint8]:
    """Return a picture of the images at `rows`, each scaled to 96 pixels on its longer side: uint8 [h, w, 3]."""
    from PIL import Image

    columns = min(columns, max(1, len(rows)))
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * (TILE + GAP) + GAP, lines * (TILE + GAP) + GAP), PAPER)
    for position, row in enumerate(rows):  # one image at a time, to keep little in memory
        tile = _tile(Image.fromarray(images.read(np.array([row]))[0]))
        line, column = divmod(position, columns)
        left, top = GAP + column * (TILE + GAP), GAP + line * (TILE + GAP)
        sheet.paste(tile, (left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))
    return np.asarray(sheet)


def _tile(image: Image.Image) -> Image.Image:
    from PIL import Image

    scale = TILE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.BILINEAR)


def encode_png(sheet: npt.NDArray[np.uint8]) -> bytes:
    return _encoded(sheet, "PNG", optimize=True)


def encode_jpeg(sheet: npt.NDArray[np.uint8]) -> bytes:
    return _encoded(sheet, "JPEG", quality=80)


def _encoded(sheet: npt.NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, kind, **options)
    return buffer.getvalue()
