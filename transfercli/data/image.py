"""Decoded images: the geometry of cached pixels, and the outcome of decoding one file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

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


class FileState(NamedTuple):
    """State of a file by its metadata; an equal state means an unchanged file, as in the index of git.

    Size and modification time alone do not: `mv a b` and unpacked archives keep them. A rename changes the inode under
    a name, and the kernel sets the time of the status change, which no program can set back.

    Attributes:
        size: in bytes; -1 if unknown.
        mtime_ns, ctime_ns: times of the last change of the content and of the status, in nanoseconds.
        inode: the lowest 63 bits of the inode number, so that SQLite can store it.
    """

    size: int = -1
    mtime_ns: int = -1
    ctime_ns: int = -1
    inode: int = -1

    @classmethod
    def of(cls, info: os.stat_result) -> FileState:
        """Return the state of a file."""
        return cls(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino & (1 << 63) - 1)


UNKNOWN_STATE = FileState()


@dataclass(frozen=True, slots=True)
class Decoded:
    """Result of decoding one file.

    Attributes:
        sha256: SHA-256 of the file's bytes; "" if they could not be read.
        pixel_hash: SHA-256 of the size and the RGB bytes, upright and before resizing.
        width, height: size in pixels of the upright original.
        state: state of the file just before it was read.
        problem: why the file is not usable, or "".
        pixels: uint8 [height, width, 3] of the geometry, or None if there is a problem.
    """

    sha256: str = ""
    pixel_hash: str = ""
    width: int = 0
    height: int = 0
    state: FileState = UNKNOWN_STATE
    problem: str = ""
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class InputImage:
    """Path of an image to predict.

    problem: why the file is not opened, or "".
    """

    path: str
    problem: str = ""
