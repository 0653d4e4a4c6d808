"""scikit-learn's handwritten digits for tests: arrays, images and image folders."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SIDE = 32


@dataclass(frozen=True)
class Digits:
    """All 1,797 digits in scikit-learn's order; the arrays are read-only.

    features: float64 [1797, 64], levels 0 to 16. images: uint8 [1797, 8, 8], grey levels 0 to 255.
    labels: int64 [1797], 0 to 9.
    """

    features: np.ndarray
    images: np.ndarray
    labels: np.ndarray

    def rows_of(self, classes: int, count: int | None = None) -> np.ndarray:
        """Return the rows of the first `count` images (None: all) of the digits below `classes`."""
        return np.flatnonzero(self.labels < classes)[:count]

    def image(self, row: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
        """Return an image as grey of `size` (width, height)."""
        return Image.fromarray(self.images[row]).resize(size, Image.Resampling.BICUBIC)

    def png(self, row: int, size: tuple[int, int] = (SIDE, SIDE), mode: str = "L") -> bytes:
        """Return an image as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.image(row, size).convert(mode).save(buffer, "PNG")
        return buffer.getvalue()

    def rgb(self, rows: Iterable[int], side: int = 8) -> np.ndarray:
        """Return uint8 [N, side, side, 3]."""
        return np.stack([np.asarray(self.image(row, (side, side)).convert("RGB")) for row in rows])


@functools.cache
def all_digits() -> Digits:
    """Return the digits, read once a process."""
    data = load_digits()
    arrays = data.data, np.rint(data.images * 255 / 16).astype(np.uint8), data.target
    for array in arrays:
        array.setflags(write=False)
    return Digits(*arrays)


def write_folders(
    root: Path,
    classes: Mapping[str, int | Iterable[int]],
    first: int = 0,
    size: tuple[int, int] = (SIDE, SIDE),
    mode: str = "L",
) -> Path:
    """Write root/CLASS/ROW.png for each class and return `root`.

    classes: the rows of a class, or a count of images. Counted images start at row `first`, and no two classes of one
    call share one. size: (width, height).
    """
    for label, rows in classes.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        if isinstance(rows, int):
            rows, first = range(first, first + rows), first + rows
        for row in rows:
            (root / label / f"{row:04d}.png").write_bytes(all_digits().png(row, size, mode))
    return root
