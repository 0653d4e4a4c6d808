"""Lineage of a run: its parents as their records name them, back to the first, and the images they learnt from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.manifest import read_pixels
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.workflows.new_model import find_parent
from transfercli.workflows.stored_run import StoredRun


def generations(run: StoredRun) -> Iterator[tuple[str, StoredRun | None]]:
    """Yield the parent of a run, its parent, and so on, each with its name in the child's record.

    A parent that does not exist is None and ends the line; a run that was yielded before ends it too. Raises
    `ArtefactError` if the record of a run is damaged.
    """
    visited = {os.path.realpath(run.path)}
    while (name := run.record.parent) is not None:
        parent = _parent(run, name)
        if parent is not None and os.path.realpath(parent.path) in visited:
            return
        yield name, parent
        if parent is None:
            return
        visited.add(os.path.realpath(parent.path))
        run = parent


def ancestors(run: StoredRun, reporter: Reporter) -> Iterator[StoredRun]:
    """Yield the existing runs of `generations`; warn if a parent does not exist."""
    child = run.label
    for name, parent in generations(run):
        if parent is None:
            reporter.warning(
                f"{name}, the parent of {child}, does not exist any more: its training images are not known"
            )
            return
        yield parent
        child = parent.label


def _parent(run: StoredRun, name: str) -> StoredRun | None:
    try:
        return find_parent(run.config, _runs_folder(run), name).run
    except ArtefactError:
        return None


def _runs_folder(run: StoredRun) -> Path:
    return Path(os.path.realpath(run.path)).parent.parent


@dataclass(frozen=True)
class LearntImages:
    """Images that a group of runs and their ancestors learnt from, by content.

    files: SHA-256 of the files. pixels_of: SHA-256 of a file -> SHA-256 of its pixels, for every file that one of the
    runs read; several if versions of the decoder decoded it differently. pixels: SHA-256 of the pixels of `files`.
    """

    files: frozenset[str]
    pixels_of: Mapping[str, Set[str]]
    pixels: frozenset[str]

    def has(self, sha256: str) -> bool:
        """Return True if the file, or another file with the same pixels, was learnt from."""
        return sha256 in self.files or self.has_copy(sha256)

    def has_copy(self, sha256: str) -> bool:
        """Return True if only another file with the same pixels was learnt from, such as the image saved again."""
        return sha256 not in self.files and not self.pixels.isdisjoint(self.pixels_of.get(sha256, ()))


def learnt_from(*runs: StoredRun, reporter: Reporter) -> LearntImages:
    """Return the training and validation images of the runs and of their ancestors.

    For a run without a pixels.csv, which is older than that file, the pixels come from the pixels.csv of other runs.
    """
    family = {os.path.realpath(run.path): run for child in runs for run in (child, *ancestors(child, reporter))}
    files = frozenset(
        image.sha256 for run in family.values() for image in run.images if image.split in ("train", "validation")
    )
    pixels_of: dict[str, set[str]] = {}
    for run in family.values():
        for file, pixels in read_pixels(run.folder.pixels).items():
            pixels_of.setdefault(file, set()).add(pixels)
    return LearntImages(files, pixels_of, frozenset().union(*(pixels_of.get(file, ()) for file in files)))
