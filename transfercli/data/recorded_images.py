"""What is left of images that an earlier run recorded: one that is gone or changed stops nothing, and is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from transfercli.data.dataset import Record
from transfercli.data.ingest import Reading
from transfercli.data.load import read_recorded
from transfercli.errors import DataError
from transfercli.rows import Rows

CHANGED = "the file has changed since the run recorded it"


@dataclass(frozen=True, slots=True)
class Remaining:
    """Recorded images by their paths.

    Attributes:
        rows: where in `images` those stand that are what they were.
        lost: why each of the others cannot be shown.
    """

    images: Rows | None = None
    rows: dict[str, int] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)

    def read(self, path: str) -> np.ndarray:
        """uint8 [H, W, 3] of one of `rows`."""
        assert self.images is not None
        return self.images.read(np.array([self.rows[path]]))[0]


def read_remaining(records: Sequence[Record], root: str, reading: Reading) -> Remaining:
    """Read these and no other images of a run; root: as its config gives it."""
    if not records:
        return Remaining()
    try:
        findings = read_recorded(records, root, reading)
    except DataError as error:
        return Remaining(lost={record.path: error.message for record in records})
    lost, whole = {}, []
    for record, found in zip(records, findings.found, strict=True):
        problem = found.entry.problem or (CHANGED if found.entry.sha256 != record.sha256 else "")
        if problem:
            lost[record.path] = problem
        else:
            whole.append((record.path, found))
    images = findings.ingest.images([found.entry for _, found in whole], [found.redo for _, found in whole])
    return Remaining(images, {path: row for row, (path, _) in enumerate(whole)}, lost)
