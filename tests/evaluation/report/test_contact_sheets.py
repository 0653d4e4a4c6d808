"""Contact sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.evaluation.report.rows import Rows
from transfercli.evaluation.report.contact_sheets import GAP, TILE, contact_sheet, evenly_spaced


def test_a_contact_sheet_shows_the_pixels_in_order(tmp_path: Path) -> None:
    images = Rows(13)
    sheet = contact_sheet(images, np.arange(13))
    assert sheet.shape == (2 * (TILE + GAP) + GAP, 10 * (TILE + GAP) + GAP, 3)
    for row in (0, 12):
        line, column = divmod(row, 10)
        top, left = GAP + line * (TILE + GAP), GAP + column * (TILE + GAP)
        tile = Image.fromarray(sheet[top : top + TILE, left : left + TILE]).resize((8, 8), Image.Resampling.NEAREST)
        assert np.array_equal(np.asarray(tile), images.pixels[row])


def test_images_of_a_large_class_are_chosen_evenly() -> None:
    rows = np.arange(100, 1100)
    picked = evenly_spaced(rows, 10)
    assert picked.tolist() == [100, 211, 322, 433, 544, 655, 766, 877, 988, 1099]
    assert np.array_equal(evenly_spaced(rows[:5], 10), rows[:5])
