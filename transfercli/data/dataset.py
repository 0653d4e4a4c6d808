"""What ingest hands on: records of files, and splits whose pixels are read when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from transfercli.data.splitting.assignments import Assignments
from transfercli.rows import Rows

# What a run did with the images of a side: an evaluation on those flatters it.
KNOWN_BY = {"train": "trained", "validation": "chose its best epoch"}


@dataclass(frozen=True, slots=True)
class Record:
    """One file that was found, usable or not.

    Attributes:
        path: posix, relative to the data root; starts with `../` where a validation or test path lies elsewhere;
            `train/00017` for `keras:` sources. Bytes that are not UTF-8 stand as surrogates (PEP 383).
        sha256: of the file's bytes; of the pixel bytes for `keras:` sources; "" where nothing could be read.
        label: the class name.
        split: `train`, `validation` or `test`; "" where there is a problem.
        width, height: pixels, upright (after EXIF orientation); 0 where unknown.
        problem: "" or why the image is not used.
    """

    path: str
    sha256: str
    label: str
    split: str
    width: int = 0
    height: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Images that came from the cache, and images that had to be decoded."""

    hits: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """The usable images of one side, in the order of their paths.

    Attributes:
        targets: int32 [N], index into `labels`.
        labels: all classes in index order, also those without an image here.
        images: uint8 [H, W, 3] each, always RGB.
        sizes: (width, height) of each file, upright, in pixels; empty where unknown.
    """

    name: str
    paths: tuple[str, ...]
    targets: np.ndarray
    labels: tuple[str, ...]
    images: Rows
    sha256s: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def counts(self) -> dict[str, int]:
        """Images of each class, zeros included."""
        found = np.bincount(self.targets, minlength=len(self.labels))
        return {label: int(n) for label, n in zip(self.labels, found, strict=True)}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything a run needs to know of its data.

    Attributes:
        root: as the config gives it.
        labels: sorted by name; nothing but names decides the order.
        splits: `train` and `validation` always, `test` where there are test images.
        assignments: the earlier ones and this run's, for the experiment's `splits.csv`.
        pixels: SHA-256 of a file, as in its record -> that of its decoded pixels, of every usable image.
        bad: the records with a problem.
    """

    root: str
    records: tuple[Record, ...]
    labels: tuple[str, ...]
    splits: dict[str, Split]
    cache: CacheCounts = field(default_factory=CacheCounts)
    assignments: Assignments = field(default_factory=Assignments)
    pixels: Mapping[str, str] = field(default_factory=dict)

    @property
    def bad(self) -> list[Record]:
        return [record for record in self.records if record.problem]
