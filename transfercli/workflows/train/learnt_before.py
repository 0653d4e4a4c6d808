"""Images of a new run that its ancestors learnt from, and the descriptors by which later runs know its own."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from transfercli.data.quality.image_descriptors import Descriptors, copies_are_sure, describe, has_copy, select
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.runs.listing import creation_order, runs_of
from transfercli.text import counted, first_of
from transfercli.transfer.strategies import is_solvable
from transfercli.workflows.known_images import uses_of
from transfercli.workflows.lineage import base_learnt_from, learnt_from
from transfercli.workflows.new_model import Parent
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset
    from transfercli.workflows.train.job import Job

HELD_OUT = ("validation", "test")
LISTED = 3  # paths in a warning
LearntBefore = dict[str, dict[str, int]]  # split -> number of images by use, as in `KnownImages.counts`


@dataclass(frozen=True)
class Inherited:
    """Images of a new run that came into its initial weights.

    counts: as recorded in `learnt_before`. by_base: SHA-256 of the training and validation images that the base was
    trained on, or may have been: a head that is solved on it predicts them too well, whether it saw them or not.
    """

    counts: LearntBefore = field(default_factory=dict)
    by_base: frozenset[str] = frozenset()


def images_learnt_before(job: Job, parent: Parent, dataset: Dataset, reporter: Reporter) -> Inherited:
    """Return the images of a new run that the parent or its ancestors learnt from, and warn of them.

    The validation and test images are counted, and for a solved head the training images that the base was trained on.
    There is no warning of validation images that an ancestor only chose an epoch or the penalty by, as a parent with
    the same splits did.
    """
    if parent.run is None:
        return Inherited()
    learnt, geometry = learnt_from(parent.run, reporter=reporter), geometry_of(job.config)
    counts: LearntBefore = {}
    for name in HELD_OUT:
        if split := dataset.splits.get(name):
            counts |= _counts(name, uses_of(split, learnt, geometry, None))
    if not is_solvable(job.config):
        _warn(counts, counts, parent.run.label, dataset, reporter)
        return Inherited(counts)
    # The head is new: only what is in the base is passed on.
    known, stored = base_learnt_from(parent.run), _earlier_descriptors(job)
    passed_on: LearntBefore = {}
    by_base: set[str] = set()
    for name in ("train", "validation"):
        split = dataset.splits[name]
        uses = uses_of(split, known, geometry, stored)
        trained = np.isin(uses, ("train", "near"))
        passed_on |= _counts(name, np.where(trained, uses, ""))
        by_base.update(split.sha256s[row] for row in np.flatnonzero(trained | bool(known.gaps)).tolist())
    if "train" in passed_on:
        counts = {"train": passed_on["train"], **counts}
    _warn(counts, passed_on, parent.run.label, dataset, reporter)
    return Inherited(counts, frozenset(by_base))


def _counts(name: str, uses: npt.NDArray[np.str_]) -> LearntBefore:
    found = Counter(use for use in uses.tolist() if use)
    return {name: dict(sorted(found.items()))} if found else {}


def _warn(counts: LearntBefore, passed_on: LearntBefore, parent: str, dataset: Dataset, reporter: Reporter) -> None:
    """Report the images; warn of test images, and of validation images whose labels the new run starts with.

    passed_on: counts of the validation images that the weights which the run starts with learnt from.
    """
    told = {name: sum(uses.values()) - uses.get("alike", 0) for name, uses in counts.items()}
    names = {name: "training" if name == "train" else name for name in told if told[name]}
    parts = [f"{told[name]} of {counted(len(dataset.splits[name]), f'{text} image')}" for name, text in names.items()]
    if not parts:
        return
    text = f"{parent} or one of its ancestors learnt from {' and '.join(parts)}"
    uses = passed_on.get("validation", {})
    trained = sum(uses.values()) - uses.get("alike", 0) - uses.get("validation", 0)
    if trained:
        text += "; the best epoch is chosen by such validation images too, so its validation metrics are too good"
    if told.get("test"):
        text += "; honest metrics and gates of `evaluate` leave them out"
    if told.get("test") or trained:
        reporter.warning(text)
    elif set(names) == {"validation"}:
        reporter.info(f"{parts[0]} scored {parent} or one of its ancestors, too; none of them trained on these")
    else:
        reporter.info(text)


def describe_dataset(job: Job, dataset: Dataset) -> Descriptors:
    """Return the descriptor of each content, in the order of the SHA-256; those of the run before are not computed."""
    geometry, earlier = geometry_of(job.config), _earlier_descriptors(job)
    splits = [*dataset.splits.values(), *dataset.auxiliary.splits.values()]
    every = np.concatenate([describe(split.images, split.sha256s, geometry, split.sizes, earlier) for split in splits])
    return every[np.unique(every["sha256"], return_index=True)[1]]


def warn_of_changed_copies(dataset: Dataset, descriptors: Descriptors, reporter: Reporter) -> None:
    """Warn of test images of which an auxiliary image is a re-encoded or resized copy.

    descriptors: of all images. Copies with the same pixels were left out when the images were read.
    """
    test = dataset.splits.get("test")
    if test is None:
        return
    for name, split in dataset.auxiliary.splits.items():
        own, others = (descriptors[select(descriptors, each.sha256s)[0]] for each in (test, split))
        paths = [path for path, copied in zip(test.paths, has_copy(own, others), strict=True) if copied]
        if paths:
            verb = "have" if copies_are_sure(descriptors) else "may have"
            reporter.warning(
                f"{len(paths)} of {counted(len(test), 'test image')} {verb} a re-encoded or resized copy among"
                f" the {name} images ({first_of(paths, LISTED)}): remove these copies, or metrics on them are too"
                " optimistic"
            )


def without_changed_copies(job: Job, dataset: Dataset, reporter: Reporter) -> Dataset:
    """Return the data set without related images that are re-encoded or resized copies of labelled images.

    They train in every fold of a cross-validation, so a copy would give away the label of an image that is held out.
    Copies with the same pixels were left out when the images were read.
    """
    related, stored = dataset.auxiliary.related, _earlier_descriptors(job)
    if related is None:
        return dataset
    geometry = geometry_of(job.config)
    splits = [related, dataset.splits["train"], dataset.splits["validation"]]
    own, *labelled = (describe(each.images, each.sha256s, geometry, each.sizes, stored) for each in splits)
    copied = has_copy(own, np.concatenate(labelled))
    if not copied.any():
        return dataset
    reporter.warning(
        f"{int(copied.sum())} of {counted(len(related), 'related image')} are not used: they are, or seem to be,"
        " re-encoded or resized copies of labelled images, whose labels they would give away"
    )
    rows = np.flatnonzero(~copied)
    kept, domains = (related.at(rows) if len(rows) else None), dataset.auxiliary.domains[rows]
    return replace(dataset, auxiliary=replace(dataset.auxiliary, related=kept, domains=domains))


def _earlier_descriptors(job: Job) -> Descriptors | None:
    """Return the descriptors of the newest run of the experiment that read images as this one does; None without."""
    for run in sorted(runs_of(job.run.path.parent), key=creation_order, reverse=True):
        if run.descriptors.is_file() and run.path != job.run.path:
            with suppress(ArtefactError):
                stored = StoredRun(run)
                return stored.descriptors if geometry_of(stored.config) == geometry_of(job.config) else None
    return None
