"""Decoded images: the geometry of cached pixels, and the outcome of decoding one file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VERSION = 1  # of the decoder; increase it if decoded pixels change (see decoding/decode.py)
RESIZES = ("stretch", "crop", "pad")


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size and resize mode of cached pixels, uint8 [height, width, 3]."""

    height: int
    width: int
    resize: str = "stretch"

    @property
    def name(self) -> str:
        """Name in the cache, with the decoder's version."""
        return f"{self.height}x{self.width}-{self.resize}-v{VERSION}"

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
        pixels: uint8 [height, width, 3] of the geometry, or None if there is a problem.
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
class InputImage:
    """Path of an image to predict.

    problem: why the file is not opened, or "".
    """

    path: str
    problem: str = ""
