"""Decoded images: the geometry of cached pixels, and the outcome of decoding one file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VERSION = 1  # of the decoder; increase it if decoded pixels change (see decoding/decode.py)
RESIZES = ("stretch", "crop", "pad")
NO_BACKGROUND = "none"  # the opacity is dropped, so that transparent pixels show the colours stored for them
# Notes on an image: some of its pixels are not opaque; and then it is of one colour on the background.
TRANSPARENT, FLAT = "transparent", "flat"
FLAT_LEVELS = 2  # largest range of every channel of an image of one colour


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size, resize mode and background of cached pixels, uint8 [height, width, 3].

    background: the colour `#rrggbb` that transparent pixels are laid on, or `NO_BACKGROUND`.
    """

    height: int
    width: int
    resize: str = "stretch"
    background: str = NO_BACKGROUND

    @property
    def name(self) -> str:
        """Name in the cache, with the decoder's version."""
        background = "" if self.background == NO_BACKGROUND else f"-on-{self.background.lstrip('#')}"
        return f"{self.height}x{self.width}-{self.resize}{background}-v{VERSION}"

    @property
    def space(self) -> str:
        """Name of the cache space that holds images of this geometry."""
        return f"images/{self.name}"

    def content_box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, width and height of the picture without padding, for a `width` x `height` original."""
        if self.resize != "pad":
            return 0, 0, self.width, self.height
        scale = min(self.width / width, self.height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))  # at least one pixel
        return (self.width - inner[0]) // 2, (self.height - inner[1]) // 2, *inner

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image, [height, width, 3]."""
        return self.height, self.width, 3


@dataclass(frozen=True, slots=True)
class Decoded:
    """Result of decoding one file.

    Attributes:
        sha256: SHA-256 of the file's bytes; "" if they could not be read.
        pixel_hash: SHA-256 of the size and the RGB bytes, upright and before resizing.
        width, height: size in pixels of the upright original.
        size, mtime_ns: size in bytes and modification time of the file when it was read; -1 if unknown.
        problem: why the file is not usable, or "".
        notes: words on what the decoder did, separated by spaces: `TRANSPARENT`, `FLAT`.
        pixels: uint8 [height, width, 3] of the geometry, or None if there is a problem.
    """

    sha256: str = ""
    pixel_hash: str = ""
    width: int = 0
    height: int = 0
    size: int = -1
    mtime_ns: int = -1
    problem: str = ""
    notes: str = ""
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class InputImage:
    """Path of an image to predict.

    problem: why the file is not opened, or "".
    """

    path: str
    problem: str = ""
