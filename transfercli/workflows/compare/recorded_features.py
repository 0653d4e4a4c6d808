"""Features of images that runs recorded: of their files, or of the image cache if the files are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.data.dataset import Split
from transfercli.workflows.data.image_features import ImageFeatures
from transfercli.workflows.data.remaining_images import Source, remaining_splits


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
