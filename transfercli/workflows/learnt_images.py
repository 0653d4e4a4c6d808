"""Images that runs learnt from, known by their files, by their pixels, and as copies that were changed a little."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from transfercli.data.quality.image_descriptors import DESCRIPTOR, Descriptors, copies_are_sure, has_copy, select

if TYPE_CHECKING:
    from transfercli.data.dataset import Record
    from transfercli.workflows.stored_run import StoredRun

LEARNT = ("train", "validation")  # splits that a model is trained on, and that choose its epoch or strength
# Splits of auxiliary images: a model learns the labels of related images, and of unlabelled ones the pixels only.
AUXILIARY = ("related", "unlabelled")


@dataclass(frozen=True)
class LearntImages:
    """Images that a group of runs learnt from, by content.

    Attributes:
        files: SHA-256 of the files.
        pixels_of: SHA-256 of a file -> SHA-256 of its pixels, for every file that one of the runs read; several if
            versions of the decoder decoded it differently.
        pixels: SHA-256 of the pixels of `files`.
        trained: SHA-256 of the files that the runs trained on, related images included, and of their pixels.
        seen: SHA-256 of the files that the runs used without a label, and of their pixels.
        descriptors: of `files`, as far as the runs stored them.
        alike: descriptors of all images of the first run, which show how much different images are alike.
        gaps: a sentence for each run whose images are not, or not fully, known.
    """

    files: frozenset[str]
    pixels_of: Mapping[str, Set[str]]
    pixels: frozenset[str]
    trained: frozenset[str]
    seen: frozenset[str]
    descriptors: Descriptors
    alike: Descriptors
    gaps: tuple[str, ...] = ()

    @classmethod
    def of(cls, runs: Sequence[StoredRun], gaps: Iterable[str] = (), splits: Collection[str] = LEARNT) -> LearntImages:
        """Return the images of the runs that count as learnt: auxiliary ones, and `splits`, a part of `LEARNT`."""
        by_split: dict[str, set[str]] = {split: set() for split in {*LEARNT, *AUXILIARY, *splits}}
        for run in runs:
            for image in learnt_records(run, splits):
                by_split[image.split].add(image.sha256)
        pixels_of: dict[str, set[str]] = {}
        for run in runs:
            for file, pixel_hash in (run.pixel_hashes or {}).items():
                pixels_of.setdefault(file, set()).add(pixel_hash)
        files, trained = frozenset[str]().union(*by_split.values()), frozenset(by_split["train"] | by_split["related"])
        pixels, seen = _pixels(files, pixels_of), frozenset(by_split["unlabelled"])
        trained, seen = trained | _pixels(trained, pixels_of), seen | _pixels(seen, pixels_of)
        stored = [run.descriptors for run in runs]
        alike = np.zeros(0, DESCRIPTOR) if not stored or stored[0] is None else stored[0]
        descriptors = _descriptors(files, [some for some in stored if some is not None])
        return cls(files, pixels_of, pixels, trained, seen, descriptors, alike, tuple(gaps))

    def has(self, sha256: str) -> bool:
        """Return True if the file, or another file with the same pixels, was learnt from."""
        return sha256 in self.files or self.has_copy(sha256)

    def has_copy(self, sha256: str) -> bool:
        """Return True if only another file with the same pixels was learnt from, such as the image saved again."""
        return sha256 not in self.files and not self.pixels.isdisjoint(self.pixels_of.get(sha256, ()))

    def use_of(self, sha256: str, pixel_hash: str = "") -> str:
        """Return how the file, or another with the same pixels, was learnt from, or "" if it was not.

        The uses are `train`, `unlabelled` and `validation`; of several, the first.

        pixel_hash: of the file; if it is "", the pixels are those that the runs recorded for the file, if any.
        """
        known = {sha256, pixel_hash, *self.pixels_of.get(sha256, ())}
        if not self.trained.isdisjoint(known):
            return "train"
        if sha256 not in self.files and self.pixels.isdisjoint(known):
            return ""
        return "validation" if self.seen.isdisjoint(known) else "unlabelled"

    def changed_copies(self, images: Descriptors) -> tuple[npt.NDArray[np.bool_], bool]:
        """Return bool [N], True for each re-encoded or resized copy of an image that was learnt from; and True if sure.

        It is not sure if the images of the first run look like copies of each other.
        """
        found = has_copy(images, self.descriptors)
        return found, not found.any() or copies_are_sure(self.alike)


def use_of_split(run: StoredRun, split: str) -> str:
    """Return what a run used the images of one of its splits for: as the split says, or `train` if it was refitted."""
    return "train" if split == "validation" and run.record.refitted else split


def learnt_records(run: StoredRun, splits: Collection[str]) -> list[Record]:
    """Return the usable images of a run that count as learnt, each with its use as its split.

    They are those that the run used as one of `splits`, and auxiliary ones.
    """
    own = [replace(image, split=use_of_split(run, image.split)) for image in run.images if not image.problem]
    return [image for image in own if image.split in splits] + [
        image for image in run.auxiliary if image.split and not image.problem
    ]


def _pixels(files: Iterable[str], pixels_of: Mapping[str, Set[str]]) -> frozenset[str]:
    return frozenset().union(*(pixels_of.get(file, ()) for file in files))


def _descriptors(files: Collection[str], stored: Sequence[Descriptors]) -> Descriptors:
    """Return the stored descriptor of each file that has one, once."""
    if not stored or not files:
        return np.zeros(0, DESCRIPTOR)
    every = np.concatenate(stored)
    rows, found = select(every, sorted(files))
    return every[rows[found]]
