"""Embedded image folders: scikit-learn's real handwritten digits (UCI ML repository, Alpaydin & Kaynak 1998).

1,797 scans of 8x8 pixels with 17 grey levels, enlarged to 32x32 PNGs. Every fifth image of a class, in scikit-learn's
order, is a test image.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

PIXELS = 32  # height and width of a written image
EVERY_FIFTH = 5


@dataclass(frozen=True, slots=True)
class SampleFile:
    """File of a sample: its path relative to the sample's folder, and the split of an image, None for another file."""

    path: str
    content: bytes
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """One handwritten digit.

    Attributes:
        index: its place among all scans.
        number: its place among the scans of its digit, which decides the split.
        levels: grey levels 0-16, float [8, 8].
    """

    index: int
    digit: int
    number: int
    levels: np.ndarray

    def image(self, pixels: int = PIXELS) -> Image.Image:
        """Return the scan as a grey image of the given height and width, white ink on black."""
        small = np.rint(self.levels * 255 / 16).astype(np.uint8)
        return Image.fromarray(small).resize((pixels, pixels), Image.Resampling.BICUBIC)


def scans(digits: tuple[int, ...] = tuple(range(10))) -> Iterator[Scan]:
    """Yield the scans of some digits, digit by digit."""
    from sklearn.datasets import load_digits

    data = load_digits()
    for digit in digits:
        for number, index in enumerate(np.flatnonzero(data.target == digit)):
            yield Scan(int(index), digit, number, data.images[index])


@dataclass(frozen=True, slots=True)
class DigitFolder:
    """Folder of digits, {train,test}/CLASS/*.png.

    digits: its classes; paper: grey level of the ground; ink: contrast, 0 to 1.
    """

    digits: tuple[int, ...]
    paper: int = 0
    ink: float = 1.0

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(map(str, self.digits))

    def files(self) -> Iterator[SampleFile]:
        """Yield the images."""
        paper = [round(self.paper + self.ink * level) for level in range(256)]
        for scan in scans(self.digits):
            split = "test" if scan.number % EVERY_FIFTH == EVERY_FIFTH - 1 else "train"
            yield SampleFile(f"{split}/{scan.digit}/{scan.index:04d}.png", png(scan.image().point(paper)), split)


def png(image: Image.Image) -> bytes:
    """Return an image as PNG.

    It is uncompressed, because builds of Pillow compress differently and the bytes must be the same everywhere.
    """
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()
