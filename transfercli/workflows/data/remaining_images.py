"""Images that runs recorded, as far as their files or the image cache still hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.data.dataset import Record, Split
from transfercli.data.recorded_images import Remaining, read_cached, read_remaining
from transfercli.workflows.stored_run import StoredRun


@dataclass(frozen=True)
class Source:
    """Images of a run that are read below its own data root."""

    run: StoredRun
    records: Sequence[Record]


def remaining_splits(source: Source, model: StoredRun, labels: Sequence[str]) -> tuple[list[Split], dict[str, str]]:
    """Return the images of a source that still exist, at the size that a model takes, and the reasons of the others.

    labels: that the targets index; empty: targets are not needed, and are 0. Reasons are by SHA-256 of the file.
    """
    source.run.prepare_data()
    records = list(source.records)
    on_disk = read_remaining(records, source.run.config.data.train, model.reading)
    gone = [record for record in records if record.path not in on_disk.rows]
    cached = read_cached(gone, model.reading)
    splits = [_split(records, part, labels) for part in (on_disk, cached) if part.rows]
    lost = {record.sha256: on_disk.lost[record.path] for record in gone if record.path not in cached.rows}
    return splits, lost


def _split(records: Sequence[Record], remaining: Remaining, labels: Sequence[str]) -> Split:
    """Return a split of the remaining images, in the order of their rows."""
    assert remaining.images is not None
    present = sorted((r for r in records if r.path in remaining.rows), key=lambda r: remaining.rows[r.path])
    index_of = {label: index for index, label in enumerate(labels)}
    return Split(
        present[0].split,
        tuple(record.path for record in present),
        np.array([index_of[record.label] if labels else 0 for record in present], np.int32),
        tuple(labels),
        remaining.images,
        tuple(record.sha256 for record in present),
    )
