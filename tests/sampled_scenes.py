"""Scenes for tests: two or three of scikit-learn's digits side by side; the labels of a scene are the digits in it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from tests.digits import Digits

SIDE = 32  # pixels of a scene; a digit has 16
CORNERS = [(0, 0), (0, 16), (16, 0), (16, 16)]


def scene(digits: Digits, rng: np.random.Generator, classes: int) -> tuple[np.ndarray, list[int]]:
    """Return a scene, uint8 [32, 32], and the digits in it, each below `classes`."""
    picture = np.zeros((SIDE, SIDE), np.uint8)
    rows = rng.choice(digits.rows_of(classes), rng.integers(2, 4), replace=False)
    for row, corner in zip(rows, rng.permutation(len(CORNERS)), strict=False):
        top, left = CORNERS[corner]
        picture[top : top + 16, left : left + 16] = np.asarray(digits.image(row, (16, 16)))
    return picture, sorted({int(digits.labels[row]) for row in rows})


def write_scenes(folder: Path, digits: Digits, count: int, seed: int = 0, classes: int = 4) -> Path:
    """Write scenes as PNG files, and the table `scenes.csv` with the columns path and labels; return its path."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    table = folder / "scenes.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "labels"])
        for number in range(count):
            picture, labels = scene(digits, rng, classes)
            Image.fromarray(picture).save(folder / f"{number:04}.png")
            writer.writerow([f"{number:04}.png", ";".join(map(str, labels))])
    return table
