"""Labelled images of a run, with the features of its network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.reporting import Reporter
from transfercli.text import counted
from transfercli.workflows.data.image_features import ImageFeatures, LayerFeatures
from transfercli.workflows.data.remaining_images import Source, remaining_splits
from transfercli.workflows.stored_run import StoredRun

MOST_IMAGES = 5000  # that are read: a random sample of more


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Training and validation images of a run, as far as they can still be read.

    Attributes:
        features: float32 [L, D], of all layers that the head reads; None if no image can be read.
        targets: int [L], indices of the run's labels.
        held_out: bool [L], True for validation images.
        right: bool [L], True if the run's model predicts the label.
        counts: int [C], images of each class, also those that cannot be read.
    """

    features: LayerFeatures | None
    targets: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.bool_]
    right: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.int64]


def read_labelled(run: StoredRun, extractor: ImageFeatures, reporter: Reporter) -> LabelledImages:
    """Read the labelled images of a run from their files or the image cache; warn of those that are gone."""
    index_of = {label: index for index, label in enumerate(run.labels)}
    records = [image for image in run.images if image.split in ("train", "validation") and not image.problem]
    counts = np.bincount([index_of[image.label] for image in records], minlength=len(run.labels))
    if len(records) > MOST_IMAGES:
        some = np.sort(np.random.default_rng(run.config.seed).permutation(len(records))[:MOST_IMAGES])
        records = [records[row] for row in some]
    validation = {image.sha256 for image in records if image.split == "validation"}
    splits, lost = remaining_splits(Source(run, records), run, run.labels)
    if lost:
        reporter.warning(f"{len(lost)} of the run's {counted(len(records), 'labelled image')} are gone or changed")
    if not splits:
        none = np.zeros(0, np.int64)
        return LabelledImages(None, none, none > 0, none > 0, counts)
    found = [extractor.layers(split) for split in splits]
    targets = np.concatenate([split.targets for split in splits]).astype(np.int64)
    hashes = [sha256 for split in splits for sha256 in split.sha256s]
    guesses = np.concatenate([layers.probabilities.argmax(axis=1) for layers in found])
    features = LayerFeatures(
        np.concatenate([layers.features for layers in found]),
        found[0].widths,
        np.concatenate([layers.probabilities for layers in found]),
    )
    held_out = np.array([sha256 in validation for sha256 in hashes], bool)
    return LabelledImages(features, targets, held_out, guesses == targets, counts)
