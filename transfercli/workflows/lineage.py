"""Where a run's weights come from: its parents, as their records name them, back to the first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.manifest import read_pixels
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.workflows.new_model import find_parent
from transfercli.workflows.stored_run import StoredRun


def generations(run: StoredRun) -> Iterator[tuple[str, StoredRun | None]]:
    """The parent of a run, its parent, and so on, each by the name in its child's record.

    One that is gone is None and ends the line, as does one that was there before. Raises `ArtefactError` at a run whose
    record is damaged.
    """
    seen = {os.path.realpath(run.path)}
    while (name := run.record.parent) is not None:
        parent = _parent(run, name)
        if parent is not None and os.path.realpath(parent.path) in seen:
            return
        yield name, parent
        if parent is None:
            return
        seen.add(os.path.realpath(parent.path))
        run = parent


def ancestors(run: StoredRun, reporter: Reporter) -> Iterator[StoredRun]:
    """All that `generations` finds; one that is gone is warned of."""
    child = run.label
    for name, parent in generations(run):
        if parent is None:
            reporter.warning(f"{name}, which {child} was trained from, is gone: what it learnt from is not known")
            return
        yield parent
        child = parent.label


def _parent(run: StoredRun, name: str) -> StoredRun | None:
    try:
        return find_parent(run.config, _runs(run), name).run
    except ArtefactError:
        return None


def _runs(run: StoredRun) -> Path:
    return Path(os.path.realpath(run.path)).parent.parent


@dataclass(frozen=True)
class Learnt:
    """What a family of runs has learnt from, by content.

    files: SHA-256 of files. pixels_of: of each file that one of the family saw, the SHA-256 of its pixels. pixels:
    those of `files`.
    """

    files: frozenset[str]
    pixels_of: Mapping[str, str]
    pixels: frozenset[str]

    def has(self, sha256: str) -> bool:
        """Whether a file, or another one with its pixels, was learnt from."""
        return sha256 in self.files or self.has_copy(sha256)

    def has_copy(self, sha256: str) -> bool:
        """Whether a file with other bytes and the same pixels was: the image, saved anew."""
        return sha256 not in self.files and self.pixels_of.get(sha256) in self.pixels


def learnt_from(*runs: StoredRun, reporter: Reporter) -> Learnt:
    """Every image that the runs, or one of their ancestors, trained on or chose an epoch by.

    A run that was begun before there was a pixels.csv is known by its files, and by what others know of their pixels.
    """
    family = {os.path.realpath(run.path): run for one in runs for run in (one, *ancestors(one, reporter))}.values()
    files = frozenset(image.sha256 for run in family for image in run.images if image.split in ("train", "validation"))
    pixels_of = {file: pixels for run in family for file, pixels in read_pixels(run.folder.pixels).items()}
    return Learnt(files, pixels_of, frozenset(pixels_of[file] for file in files if file in pixels_of))
