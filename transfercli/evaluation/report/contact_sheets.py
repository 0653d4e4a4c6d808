"""Contact sheets: one picture of many images of a class with their names, without metadata of the files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.report.plots import clipped
from transfercli.rows import Rows

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont

COLUMNS, ROWS = 10, 10
TILE, GAP, CAPTION = 96, 4, 12
INK = (20, 24, 30)
PAPER = (150, 156, 164)  # between the tiles: grey, so that white and black images have a visible border on any page


def evenly_spaced(rows: npt.NDArray[np.int64], most: int = COLUMNS * ROWS) -> npt.NDArray[np.int64]:
    """Return at most `most` of the rows, evenly spaced, in their order."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def contact_sheet(
    images: Rows, rows: npt.NDArray[np.int64], names: Sequence[str], columns: int = COLUMNS
) -> npt.NDArray[np.uint8]:
    """Return a picture of the images at `rows`, each scaled to 96 pixels on its longer side: uint8 [h, w, 3].

    names: the text below each image; a long one is shortened in its middle.
    """
    from PIL import Image, ImageDraw

    columns = min(columns, max(1, len(rows)))
    lines, height, font = -(-len(rows) // columns), TILE + CAPTION + GAP, _font()
    sheet = Image.new("RGB", (columns * (TILE + GAP) + GAP, lines * height + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for position, (row, name) in enumerate(zip(rows, names, strict=True)):  # one at a time, to keep little in memory
        tile = _tile(Image.fromarray(images.read(np.array([row]))[0]))
        line, column = divmod(position, columns)
        left, top = GAP + column * (TILE + GAP), GAP + line * height
        sheet.paste(tile, (left + (TILE - tile.width) // 2, top + (TILE - tile.height) // 2))
        draw.text((left + TILE / 2, top + TILE + 1), _fitting(clipped(name, 200), font), INK, font, anchor="ma")
    return np.asarray(sheet)


def _font() -> FreeTypeFont:
    """Return the font that the plots have, which knows the letters of more languages than Pillow's."""
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 9)


def _fitting(text: str, font: FreeTypeFont) -> str:
    """Return a text that is no wider than a tile; its middle is left out if it is too long."""
    kept = len(text)
    short = text
    while kept > 2 and font.getlength(short) > TILE:
        kept -= 1
        short = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
    return short


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
