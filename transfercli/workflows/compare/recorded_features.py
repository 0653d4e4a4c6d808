"""Features of images that runs recorded: of their files, or of the image cache if the files are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.data.dataset import Record, Split
from transfercli.data.recorded_images import Remaining, read_cached, read_remaining
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.stored_run import StoredRun


@dataclass(frozen=True)
class Source:
    """Images of a run that are read below its own data root."""

    run: StoredRun
    records: Sequence[Record]


@dataclass(frozen=True)
class RecordedFeatures:
    """Features by content. features: float32 [N, D]; row_of: SHA-256 of a file -> row; lost: SHA-256 ->
    the reason why there is no row."""

    features: np.ndarray
    row_of: dict[str, int]
    lost: dict[str, str]


def recorded_features(extractor: ImageFeatures, sources: Sequence[Source]) -> RecordedFeatures:
    """Return the features of all images, each content once; the first source that still has it is read."""
    splits, row_of, lost = list[Split](), dict[str, int](), dict[str, str]()
    for source in sources:
        wanted = {record.sha256: record for record in source.records if record.sha256 not in row_of}
        found, missing = remaining_splits(Source(source.run, list(wanted.values())), extractor.run, ())
        splits += found
        for sha256 in (sha256 for split in found for sha256 in split.sha256s):
            row_of[sha256] = len(row_of)
        lost |= missing
    features = [extractor.features(split) for split in splits]
    return RecordedFeatures(
        np.concatenate(features) if features else np.zeros((0, 1), np.float32),
        row_of,
        {sha256: reason for sha256, reason in lost.items() if sha256 not in row_of},
    )


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
