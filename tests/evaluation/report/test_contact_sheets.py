"""Contact sheets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.evaluation.report.rows import Rows
from transfercli.evaluation.report.contact_sheets import CAPTION, GAP, TILE, contact_sheet, evenly_spaced


def test_a_contact_sheet_shows_the_pixels_in_order(tmp_path: Path) -> None:
    images = Rows(13)
    sheet = contact_sheet(images, np.arange(13), [f"{n}.png" for n in range(13)])
    assert sheet.shape == (2 * (TILE + CAPTION + GAP) + GAP, 10 * (TILE + GAP) + GAP, 3)
    for row in (0, 12):
        line, column = divmod(row, 10)
        top, left = GAP + line * (TILE + CAPTION + GAP), GAP + column * (TILE + GAP)
        tile = Image.fromarray(sheet[top : top + TILE, left : left + TILE]).resize((8, 8), Image.Resampling.NEAREST)
        assert np.array_equal(np.asarray(tile), images.pixels[row])


def test_a_name_of_any_length_and_script_stands_below_its_image() -> None:
    names = ["a.png", "ж.png", "x" * 500 + ".png", "\x1b[2J\udce9.png", ""]
    sheet = contact_sheet(Rows(5), np.arange(5), names)
    captions = sheet[GAP + TILE : GAP + TILE + CAPTION]
    cells = [captions[:, GAP + n * (TILE + GAP) :][:, :TILE] for n in range(len(names))]
    assert [bool((cell != sheet[0, 0]).any()) for cell in cells] == [True, True, True, True, False]
    gaps = [captions[:, n * (TILE + GAP) :][:, :GAP] for n in range(len(names))]
    assert all((gap == sheet[0, 0]).all() for gap in gaps)


def test_images_of_a_large_class_are_chosen_evenly() -> None:
    rows = np.arange(100, 1100)
    picked = evenly_spaced(rows, 10)
    assert picked.tolist() == [100, 211, 322, 433, 544, 655, 766, 877, 988, 1099]
    assert np.array_equal(evenly_spaced(rows[:5], 10), rows[:5])
