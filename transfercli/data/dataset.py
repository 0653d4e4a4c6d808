"""Data set: records of files, and splits whose pixels are read on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from transfercli.data.corrections.source import AppliedCorrections
from transfercli.data.splitting.assignments import Assignments
from transfercli.rows import ChainedRows, Rows, SelectedRows

# Use of images by the run that is evaluated or by an ancestor: metrics on such images are too optimistic.
KNOWN_BY = {
    "train": "trained on",
    "validation": "chose an epoch or the penalty by",
    "unlabelled": "saw the pixels, and not the labels, of",
    "near": "learnt from re-encoded or resized copies of",
}


@dataclass(frozen=True, slots=True)
class Record:
    """File of a data set, usable or not.

    Attributes:
        path: posix path relative to the data root; starts with `../` if a validation or test path is outside of it;
            `train/00017` for `keras:` sources. Bytes that are not UTF-8 are surrogates (PEP 383).
        sha256: SHA-256 of the file's bytes, or of the pixel bytes for `keras:` sources; "" if it could not be read.
        label: class name, or the text of a label set (`data/label_sets.py`).
        split: `train`, `validation` or `test`; "" if there is a problem.
        width, height: size in pixels after EXIF orientation; 0 if unknown.
        problem: why the image is not used, or "".
        group: name of its group by `data.group`, or "".
    """

    path: str
    sha256: str
    label: str
    split: str
    width: int = 0
    height: int = 0
    problem: str = ""
    group: str = ""

    @property
    def source_folder(self) -> str:
        """Its folder without the folders named as its class: of `boot/camera2/1.png`, `camera2`."""
        return "/".join(part for part in self.path.split("/")[:-1] if part not in (self.label, ".."))


@dataclass(frozen=True, slots=True)
class CacheCounts:
    """Number of images found in the cache, and number of images that were decoded."""

    hits: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """Usable images of one split, sorted by path.

    Attributes:
        name: `train`, `validation`, `test`, or another name for images outside the data set.
        paths: path of each image, as in its record.
        targets: int32 [N], indices into `labels`; or, if an image may have several labels, int32 [N, L]: 1 if it has
            the label, 0 if not, -1 if that is unknown; or the number of each image, float32 [N].
        labels: all class names in index order, also those without an image in this split.
        images: uint8 [H, W, 3] each, always RGB: conversion to grey is a layer of the model.
        sha256s: SHA-256 of each file's bytes.
        sizes: (width, height) of each file in pixels, after EXIF orientation; empty if unknown.
        notes: the decoder's notes on each image (`Decoded.notes`); empty if unknown.
        groups: name of each image's group, "" for an image without one; empty if no image has one.
        pixel_hashes: SHA-256 of each image's pixels (`Decoded.pixel_hash`); empty if unknown.
    """

    name: str
    paths: tuple[str, ...]
    targets: np.ndarray
    labels: tuple[str, ...]
    images: Rows
    sha256s: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    pixel_hashes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def at(self, indices: np.ndarray) -> Split:
        """Return the images at `indices`, int [n], which are read when they are used."""
        return replace(
            self,
            paths=tuple(self.paths[index] for index in indices),
            targets=self.targets[indices],
            images=SelectedRows(self.images, indices),
            sha256s=tuple(self.sha256s[index] for index in indices),
            sizes=tuple(self.sizes[index] for index in indices) if self.sizes else (),
            notes=tuple(self.notes[index] for index in indices) if self.notes else (),
            groups=tuple(self.groups[index] for index in indices) if self.groups else (),
            pixel_hashes=tuple(self.pixel_hashes[index] for index in indices) if self.pixel_hashes else (),
        )

    @property
    def several(self) -> bool:
        """True if an image may have several labels."""
        return self.targets.ndim == 2

    @property
    def has_numbers(self) -> bool:
        """True if each image has a number, which the only label names."""
        return self.targets.dtype.kind == "f"

    def counts(self) -> dict[str, int]:
        """Return the number of images per class or label, zeros included."""
        if self.has_numbers:
            return dict.fromkeys(self.labels, len(self))
        if self.several:
            numbers = (self.targets == 1).sum(axis=0)
        else:
            numbers = np.bincount(self.targets, minlength=len(self.labels))
        return {label: int(number) for label, number in zip(self.labels, numbers, strict=True)}


def joined(splits: Sequence[Split], name: str) -> Split:
    """Return the images of several splits, which have the same classes, as one of that name, in their order."""
    return Split(
        name,
        tuple(path for split in splits for path in split.paths),
        np.concatenate([split.targets for split in splits]),
        splits[0].labels,
        ChainedRows(tuple(split.images for split in splits)),
        tuple(sha256 for split in splits for sha256 in split.sha256s),
        tuple(size for split in splits for size in split.sizes),
        tuple(note for split in splits for note in split.notes),
        tuple(group for split in splits for group in split.groups),
        tuple(pixels for split in splits for pixels in split.pixel_hashes),
    )


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """Images beside the data set that only help to train: they never validate or test.

    Attributes:
        records: all listed files; the split is `unlabelled` or `related`, or "" for a file with a problem, which may be
            that it is a copy of another image.
        unlabelled: images of the target without labels (its targets are all 0); None if there are none.
        related: labelled images of neighbouring domains; None if there are none.
        domains: int32 [N], the entry of `data.related` that each related image comes from, from 0.
        left_out: key of the config, such as `data.related[0]` -> reason -> number of its images.
    """

    records: tuple[Record, ...] = ()
    unlabelled: Split | None = None
    related: Split | None = None
    domains: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    left_out: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that have images, by name."""
        return {split.name: split for split in (self.unlabelled, self.related) if split is not None}

    def counts(self) -> dict[str, Any]:
        """Return the number of images of each split, and of those left out, as JSON."""
        images = {name: len(split) for name, split in self.splits.items()}
        return {"images": images, "left_out": {key: dict(reasons) for key, reasons in self.left_out.items()}}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Data set of a run.

    Attributes:
        root: value of `data.train`.
        records: all listed files, usable or not.
        labels: class names, sorted.
        splits: `train` and `validation`, and `test` if there are test images.
        assignments: splits and folds of earlier runs and of this one, for the experiment's `splits.csv`.
        earlier: those of earlier runs alone, as they were when the data was read.
        corrections: of labels, which the records already have; None without any.
        pixels: SHA-256 of a file -> SHA-256 of its decoded pixels, for every usable image, auxiliary ones included.
        notes: kind of the decoder's notes -> number of usable images.
    """

    root: str
    records: tuple[Record, ...]
    labels: tuple[str, ...]
    splits: dict[str, Split]
    cache: CacheCounts = field(default_factory=CacheCounts)
    assignments: Assignments = field(default_factory=Assignments)
    pixels: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    auxiliary: Auxiliary = field(default_factory=Auxiliary)
    earlier: Assignments = field(default_factory=Assignments)
    corrections: AppliedCorrections | None = None

    @property
    def bad(self) -> list[Record]:
        """Records with a problem."""
        return [record for record in self.records if record.problem]
