"""Decoded images: the geometry of cached pixels, and the outcome of decoding one file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VERSION = 1  # of the decoder: another number where other pixels come out (see decoding/decode.py)
RESIZES = ("stretch", "crop", "pad")


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the cached pixels look like: uint8 [height, width, 3]."""

    height: int
    width: int
    resize: str = "stretch"

    @property
    def name(self) -> str:
        """The cache's name for it, the decoder's version included."""
        return f"{self.height}x{self.width}-{self.resize}-v{VERSION}"

    @property
    def space(self) -> str:
        """The cache's name for all images of this geometry."""
        return f"images/{self.name}"

    def inside(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Where the picture of a `width` x `height` original stands: left, top, and its own width and height."""
        if self.resize != "pad":
            return 0, 0, self.width, self.height
        scale = min(self.width / width, self.height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))  # a line stays a pixel thick
        return (self.width - inner[0]) // 2, (self.height - inner[1]) // 2, *inner

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, 3


@dataclass(frozen=True, slots=True)
class Decoded:
    """The outcome for one file; `pixels` is None where there is a problem.

    Attributes:
        sha256: of the file's bytes; "" where they could not be read.
        pixel_hash: SHA-256 of size and RGB bytes before resizing, upright.
        width, height: of the upright original.
        size, mtime_ns: of the file as it was read.
    """

    sha256: str = ""
    pixel_hash: str = ""
    width: int = 0
    height: int = 0
    size: int = -1
    mtime_ns: int = -1
    problem: str = ""
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """path: as a person is told of it. problem: "" or why it need not be opened."""

    path: str
    problem: str = ""
