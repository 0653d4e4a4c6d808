"""Decoded images: the geometry of cached pixels, and the outcome of decoding one file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from transfercli.data.decoder_versions import decoder_digest

if TYPE_CHECKING:
    from transfercli.config.schema import DataConfig

VERSION = 3  # of the decoder; increase it if decoded pixels change (see decoding/decode.py)
RESIZES = ("stretch", "crop", "pad")
NO_BACKGROUND = "none"  # the opacity is dropped, so that transparent pixels show the colours stored for them
# EARLIER: as versions did that had no such choice, for the runs and artefacts of these versions.
TAGS, STRETCH, EARLIER = "tags", "stretch", "earlier"
CONVERT, IGNORE = "convert", "ignore"
LEVELS, PROFILES = (TAGS, STRETCH, EARLIER), (CONVERT, IGNORE)
MAX_MEGAPIXELS, MOST_MEGAPIXELS = 50.0, 10_000.0  # default and upper bound of the limit
# Notes on an image: some of its pixels are not opaque; and then it is of one colour on the background.
TRANSPARENT, FLAT = "transparent", "flat"
FLAT_LEVELS = 2  # largest range of every channel of an image of one colour


@dataclass(frozen=True, slots=True)
class Geometry:
    """Recipe of cached pixels, uint8 [height, width, 3]: their size, and the decisions on how a file is read.

    Attributes:
        resize: stretch, crop or pad.
        background: the colour `#rrggbb` that transparent pixels are laid on, or `NO_BACKGROUND`.
        levels: range of samples of more than 8 bits: `tags` of the file, `stretch` by the bits in use, or `earlier`,
            which takes the high byte of 16 bits whatever the tags are.
        profiles: embedded colour profiles: `convert` the colours to sRGB, or `ignore` them.
        max_megapixels: largest size of decoded pixels before they are resized, in millions.
    """

    height: int
    width: int
    resize: str = "stretch"
    background: str = NO_BACKGROUND
    levels: str = TAGS
    profiles: str = CONVERT
    max_megapixels: float = MAX_MEGAPIXELS

    @classmethod
    def of(cls, data: DataConfig, image_size: tuple[int, int]) -> Geometry:
        """Return the recipe of a config, for images of (height, width) pixels."""
        return cls(*image_size, data.resize, data.background, data.levels, data.profiles, data.max_megapixels)

    @property
    def name(self) -> str:
        """Name in the cache, with the versions of this decoder and of the libraries it uses."""
        parts = [f"{self.height}x{self.width}", self.resize]
        if self.background != NO_BACKGROUND:
            parts.append(f"on-{self.background.lstrip('#')}")
        if self.levels != TAGS:
            parts.append(f"levels-{self.levels}")
        if self.profiles != CONVERT:
            parts.append(f"profiles-{self.profiles}")
        if self.max_megapixels != MAX_MEGAPIXELS:
            parts.append(f"max-{self.max_megapixels:.10g}")
        return "-".join([*parts, f"v{VERSION}", decoder_digest()])

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
        pixel_hash: SHA-256 of the size and the RGB bytes (RGBA if some pixels are transparent), upright, before colours
            are converted, laid on a background and resized: it stays the same if one of these changes, and with it the
            split of the image.
        width, height: size in pixels of the upright original.
        state: state of the file just before it was read.
        problem: why the file is not usable, or "".
        notes: words on what the decoder did, separated by spaces: `TRANSPARENT`, `FLAT`, and those of image_notes.py.
        pixels: uint8 [height, width, 3] of the geometry, or None if there is a problem.
    """

    sha256: str = ""
    pixel_hash: str = ""
    width: int = 0
    height: int = 0
    state: FileState = UNKNOWN_STATE
    problem: str = ""
    notes: str = ""
    pixels: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class InputImage:
    """Path of an image to predict.

    problem: why the file is not opened, or "".
    file: its local copy, if the path is an address.
    """

    path: str
    problem: str = ""
    file: str = ""
