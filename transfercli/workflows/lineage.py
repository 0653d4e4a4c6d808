"""Lineage of a run: its parents as their records name them, back to the first, and the images they learnt from."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from transfercli.data.quality.image_descriptors import select
from transfercli.errors import ArtefactError
from transfercli.reporting import Forwarding, Reporter
from transfercli.runs.lookup import find_run, is_label
from transfercli.workflows.learnt_images import LEARNT, LearntImages, learnt_records
from transfercli.workflows.new_model import find_parent
from transfercli.workflows.stored_run import StoredRun


def generations(run: StoredRun) -> Iterator[tuple[str, StoredRun | None]]:
    """Yield the parent of a run, its parent, and so on, each with its name in the child's record.

    The parents of a merged run are its members. A parent that does not exist is None and ends its line; a run that was
    yielded before ends it too. Raises `ArtefactError` if the record of a run is damaged.
    """
    return ((name, parent) for _, name, parent in links(run))


def links(run: StoredRun) -> Iterator[tuple[StoredRun, str, StoredRun | None]]:
    """Yield each child with the name of a parent and this parent, as `generations`; its own parents follow a parent."""
    visited = {os.path.realpath(run.path)}
    waiting = [(run, *named) for named in reversed([*_parents(run)])]
    while waiting:
        child, name, parent = waiting.pop()
        if parent is not None:
            if os.path.realpath(parent.path) in visited:
                continue
            visited.add(os.path.realpath(parent.path))
        yield child, name, parent
        if parent is not None:
            waiting += [(parent, *named) for named in reversed([*_parents(parent)])]


def _parents(run: StoredRun) -> Iterator[tuple[str, StoredRun | None]]:
    """Yield the parent of a run, or the members that it was merged from.

    A merged run has the images of its members itself, so that of a member that does not exist any more only its parent,
    if it had one, is of interest.
    """
    if (name := run.record.parent) is not None:
        yield name, _parent(run, name)
    for member in run.record.members:
        for name in (member["run"], member.get("parent")):
            if name is None:
                break
            found = _run_named(name, _runs_folder(run))
            if found is not None or name == member.get("parent"):
                yield name, found
                break


def _run_named(label: str, runs: Path) -> StoredRun | None:
    if not is_label(label):
        return None
    try:
        return StoredRun(find_run(str(runs / label), runs))
    except ArtefactError:
        return None


def ancestors(run: StoredRun, reporter: Reporter) -> Iterator[StoredRun]:
    """Yield the existing runs of `generations`; warn of a parent that does not exist, or whose images are damaged."""
    for child, name, parent in links(run):
        if parent is None:
            reporter.warning(
                f"{name}, the parent of {child.label}, does not exist any more: its training images are not known"
            )
            continue
        try:
            _ = parent.images, parent.auxiliary, parent.pixel_hashes, parent.descriptors  # read now, and kept in memory
        except ArtefactError as error:
            reporter.warning(f"the training images of {parent.label} are not known: {error.message}")
            continue
        yield parent


def _parent(run: StoredRun, name: str) -> StoredRun | None:
    try:
        return find_parent(run.config, _runs_folder(run), name).run
    except ArtefactError:
        return None


def _runs_folder(run: StoredRun) -> Path:
    return Path(os.path.realpath(run.path)).parent.parent


def learnt_from(*runs: StoredRun, reporter: Reporter, splits: Collection[str] = LEARNT) -> LearntImages:
    """Return the images that the runs and their ancestors trained on, or chose an epoch or the penalty by.

    For a run without a pixels.csv, which is older than that file, the pixels come from the pixels.csv of other runs.
    Raises `ArtefactError` if a file of one of `runs` is damaged.

    splits: those whose images count as learnt.
    """
    recording = _Recording(reporter)
    family = {os.path.realpath(run.path): run for child in runs for run in (child, *ancestors(child, recording))}
    gaps = list(recording.warnings)
    for run in family.values():
        for gap in _gaps(run, splits):
            gaps.append(gap)
            reporter.info(gap)
    return LearntImages.of([*family.values()], gaps, splits)


def _gaps(run: StoredRun, splits: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each file of a run that does not have all images of the splits."""
    files = {image.sha256 for image in learnt_records(run, splits)}
    if run.pixel_hashes is None:
        yield f"{run.label} did not record the pixels of its images: copies that were saved again may not be known"
    elif missing := len(files - run.pixel_hashes.keys()):
        yield f"pixels.csv of {run.label} lacks {missing} of its images: copies of them may not be known"
    if run.descriptors is None:
        yield f"{run.label} did not record descriptors of its images: re-encoded or resized copies are not known"
    elif missing := int((~select(run.descriptors, [*files])[1]).sum()):
        yield f"descriptors.npy of {run.label} lacks {missing} of its images: changed copies of them are not known"


def base_learnt_from(run: StoredRun) -> LearntImages:
    """Return the images that the base of a run was trained on, by the run or its ancestors.

    Runs that only trained or solved a head do not count. `gaps` has a sentence if an ancestor does not exist any more,
    or its images cannot be read; the base may have been trained on any image then.
    """
    trained, gaps = list[StoredRun](), list[str]()
    for child, name, each in ((run, run.label, run), *links(run)):
        if each is None:
            gaps.append(f"{name}, the parent of {child.label}, does not exist any more")
        elif _trained_its_base(each):
            try:
                _ = each.images, each.auxiliary, each.pixel_hashes, each.descriptors  # read now, and kept in memory
                trained.append(each)
            except ArtefactError as error:
                gaps.append(f"the training images of {name} are not known: {error.message}")
    return LearntImages.of(trained, gaps, splits=("train",))


def _trained_its_base(run: StoredRun) -> bool:
    """Return True if a run trained layers of its base, or may have: its phases are not recorded.

    A refit gives the base the weights back that it had before.
    """
    phases = run.record.phases
    changed = any(phase.get("unfreeze") not in ("none", 0) for phase in phases)
    return not phases or (changed and run.record.cross_validated is None)


class _Recording(Forwarding):
    """Reporter that keeps the warnings."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__(reporter)
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)
        super().warning(text)
