"""Images recorded by an earlier run, as far as their files still exist unchanged."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from transfercli.data.cache.images import DiskCache, cache_root
from transfercli.data.cache.stored_images import stored_images
from transfercli.data.dataset import Record
from transfercli.data.image import Decoded
from transfercli.data.ingest import Reading
from transfercli.data.load import read_recorded
from transfercli.errors import DataError
from transfercli.rows import Rows

CHANGED = "the file has changed since the run recorded it"


@dataclass(frozen=True, slots=True)
class Remaining:
    """Recorded images by path.

    Attributes:
        images: pixels of the unchanged images, or None if no image was requested.
        rows: path -> index into `images`, for unchanged images.
        lost: path -> reason, for images whose file is missing, changed or unreadable.
    """

    images: Rows | None = None
    rows: dict[str, int] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def read(self, path: str) -> np.ndarray:
        """Return the pixels of a path in `rows`, uint8 [H, W, 3]."""
        assert self.images is not None
        return self.images.read(np.array([self.rows[path]]))[0]


def read_remaining(records: Sequence[Record], root: str, reading: Reading) -> Remaining:
    """Read images that a run recorded; a missing or changed file raises no error.

    root: `data.train` of the run.
    """
    if not records:
        return Remaining()
    try:
        findings = read_recorded(records, root, reading)
    except DataError as error:
        return Remaining(lost={record.path: error.message for record in records})
    lost, unchanged = {}, []
    for record, file in zip(records, findings.files, strict=True):
        problem = file.entry.problem or (CHANGED if file.entry.sha256 != record.sha256 else "")
        if problem:
            lost[record.path] = problem
        else:
            unchanged.append((record.path, file))
    images = findings.ingest.images([file.entry for _, file in unchanged], [file.redo for _, file in unchanged])
    return Remaining(images, {path: row for row, (path, _) in enumerate(unchanged)}, lost)


def read_cached(records: Sequence[Record], reading: Reading) -> Remaining:
    """Return the images of records that the image cache still holds, whatever became of their files."""
    compute = reading.compute
    if not records or compute.cache == "off":
        return Remaining()
    try:
        cache = DiskCache(cache_root(compute), reading.geometry, int(compute.cache_max_gb * 1e9))
        try:
            entries = cache.entries([*{record.sha256 for record in records}])
        finally:
            cache.close()
    except (OSError, sqlite3.Error):
        return Remaining()
    found = [record for record in records if record.sha256 in entries and not entries[record.sha256].problem]
    images = stored_images(cache, [entries[record.sha256] for record in found], [_no_file] * len(found))
    return Remaining(images, {record.path: row for row, record in enumerate(found)})


def _no_file() -> Decoded:
    return Decoded(problem="its file is gone")
