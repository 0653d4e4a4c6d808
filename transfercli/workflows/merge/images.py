"""Images of a merged run: those of its members, each with the use that any of them made of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from transfercli.data.dataset import Record
from transfercli.data.manifest import write_manifest, write_pixels
from transfercli.data.quality.image_descriptors import Descriptors, write_descriptors
from transfercli.runs.folder import RunFolder
from transfercli.workflows.stored_run import StoredRun

USES = ("train", "validation", "test")  # of several, the first


@dataclass(frozen=True, eq=False)
class MergedImages:
    """Images of a merged run.

    records: in the form of `dataset.csv`. auxiliary: images of other folders than the first member's, and the members'
    auxiliary images. pixels, descriptors: of them, as far as the members stored them.
    """

    records: list[Record]
    auxiliary: list[Record]
    pixels: dict[str, str]
    descriptors: Descriptors | None

    def counts(self) -> dict[str, int]:
        """Return the number of images of each split."""
        found = Counter(image.split for image in self.records if image.split)
        return {split: found[split] for split in USES if found[split]}

    def auxiliary_counts(self) -> dict[str, int]:
        """Return the number of auxiliary images by use."""
        return dict(Counter(image.split for image in self.auxiliary))

    def fingerprint(self) -> str:
        """Return the SHA-256 of the content, label and split of every image."""
        images = [*(image for image in self.records if image.split), *self.auxiliary]
        lines = sorted("\0".join((image.sha256, image.label, image.split)) for image in images)
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def write(self, run: RunFolder) -> None:
        """Write the files of the images into a run's folder."""
        write_manifest(run.dataset, self.records)
        if self.auxiliary:
            write_manifest(run.auxiliary, self.auxiliary)
        write_pixels(run.pixels, self.pixels)
        if self.descriptors is not None:
            write_descriptors(run.descriptors, self.descriptors)


def merged_images(members: Sequence[StoredRun], *, learnt: bool) -> MergedImages:
    """Return the images of all members: one that a member trained on is a training image, and so on.

    A test image is one that no member learnt from. Images that the first member does not have count as related ones if
    they are of another folder, because paths start in the first member's.

    learnt: the model learnt from its validation images in the end, as the record says. Then those of the first member
    remain the validation images, so that there are some to compare exports on.
    """
    first, *others = members
    uses: dict[str, set[str]] = {}
    for member in members:
        for image in member.images:
            if image.split:
                uses.setdefault(image.sha256, set()).add(image.split)
    records = [image if learnt and image.split == "validation" else _with_use(image, uses) for image in first.images]
    auxiliary = {image.sha256: image for member in members for image in member.auxiliary if image.split}
    known, paths = set(uses) & {image.sha256 for image in records}, {image.path for image in records}
    for member in others:
        same_folder = member.config.data.train == first.config.data.train
        for image in member.images:
            if not image.split or image.sha256 in known:
                continue
            known.add(image.sha256)
            image = _with_use(image, uses)
            if same_folder and image.path not in paths:
                records.append(image)
                paths.add(image.path)
            elif image.split != "test":
                auxiliary[image.sha256] = replace(image, split="related")
    return MergedImages(records, [*auxiliary.values()], _pixels(members), _descriptors(members))


def _with_use(image: Record, uses: dict[str, set[str]]) -> Record:
    if not image.split:
        return image
    return replace(image, split=next(use for use in USES if use in uses[image.sha256]))


def _pixels(members: Sequence[StoredRun]) -> dict[str, str]:
    pixels: dict[str, str] = {}
    for member in members:
        pixels = (member.pixel_hashes or {}) | pixels
    return pixels


def _descriptors(members: Sequence[StoredRun]) -> Descriptors | None:
    stored = [member.descriptors for member in members if member.descriptors is not None]
    if not stored:
        return None
    every = np.concatenate(stored)
    return every[np.unique(every["sha256"], return_index=True)[1]]


def copy_slices(first: StoredRun, run: RunFolder) -> None:
    """Copy the table columns by which the first member's images are divided, if it has some."""
    if first.folder.slices.exists():
        Path(run.slices).write_bytes(first.folder.slices.read_bytes())
