"""Images of a new run that its ancestors learnt from, and the descriptors by which later runs know its own."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from transfercli.data.quality.image_descriptors import Descriptors, copies_are_sure, describe, has_copy, select
from transfercli.errors import ArtefactError
from transfercli.reporting import Reporter
from transfercli.runs.listing import creation_order, runs_of
from transfercli.text import counted
from transfercli.workflows.known_images import uses_of
from transfercli.workflows.lineage import learnt_from
from transfercli.workflows.new_model import Parent
from transfercli.workflows.resolved_config import geometry_of
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset
    from transfercli.workflows.train.job import Job

HELD_OUT = ("validation", "test")
LearntBefore = dict[str, dict[str, int]]  # split -> number of images by use, as in `KnownImages.counts`


def images_learnt_before(job: Job, parent: Parent, dataset: Dataset, reporter: Reporter) -> LearntBefore:
    """Return the validation and test images that the parent or its ancestors learnt from, and warn of them.

    There is no warning of validation images that an ancestor only chose an epoch or the penalty by, as a parent with
    the same splits did.
    """
    if parent.run is None:
        return {}
    learnt, geometry = learnt_from(parent.run, reporter=reporter), geometry_of(job.config)
    counts: LearntBefore = {}
    for name in HELD_OUT:
        if split := dataset.splits.get(name):
            found = Counter(use for use in uses_of(split, learnt, geometry, None).tolist() if use)
            counts |= {name: dict(sorted(found.items()))} if found else {}
    _warn(counts, parent.run.label, dataset, reporter)
    return counts


def _warn(counts: LearntBefore, parent: str, dataset: Dataset, reporter: Reporter) -> None:
    told = {name: sum(uses.values()) - uses.get("alike", 0) for name, uses in counts.items()}
    trained = {name: told[name] - counts[name].get("validation", 0) for name in told}
    parts = [f"{told[name]} of {counted(len(dataset.splits[name]), f'{name} image')}" for name in told if told[name]]
    if not parts:
        return
    text = f"{parent} or one of its ancestors learnt from {' and '.join(parts)}"
    if trained.get("validation"):
        text += "; the best epoch is chosen by such validation images too, so val_accuracy and val_loss are too good"
    if told.get("test"):
        text += "; honest metrics and gates of `evaluate` leave them out"
    if told.get("test") or trained.get("validation"):
        reporter.warning(text)
    else:
        reporter.info(text)


def describe_dataset(job: Job, dataset: Dataset) -> Descriptors:
    """Return the descriptor of each content, in the order of the SHA-256; those of the run before are not computed."""
    geometry, earlier = geometry_of(job.config), _earlier_descriptors(job)
    splits = [*dataset.splits.values(), *dataset.auxiliary.splits.values()]
    every = np.concatenate([describe(split.images, split.sha256s, geometry, split.sizes, earlier) for split in splits])
    return every[np.unique(every["sha256"], return_index=True)[1]]


def warn_of_changed_copies(dataset: Dataset, descriptors: Descriptors, reporter: Reporter) -> None:
    """Warn of validation and test images of which an auxiliary image is a re-encoded or resized copy.

    descriptors: of all images. Copies with the same pixels were left out when the images were read.
    """
    for source, split in dataset.auxiliary.splits.items():
        others = descriptors[select(descriptors, split.sha256s)[0]]
        for name in HELD_OUT:
            own = dataset.splits.get(name)
            if own is None:
                continue
            count = int(has_copy(descriptors[select(descriptors, own.sha256s)[0]], others).sum())
            if count:
                verb = "have" if copies_are_sure(descriptors) else "may have"
                reporter.warning(
                    f"{count} of {counted(len(own), f'{name} image')} {verb} a re-encoded or resized copy among the"
                    f" {source} images: remove these copies, or metrics on them are too optimistic"
                )


def _earlier_descriptors(job: Job) -> Descriptors | None:
    """Return the descriptors of the newest run of the experiment that read images as this one does; None without."""
    for run in sorted(runs_of(job.run.path.parent), key=creation_order, reverse=True):
        if run.descriptors.is_file() and run.path != job.run.path:
            with suppress(ArtefactError):
                stored = StoredRun(run)
                return stored.descriptors if geometry_of(stored.config) == geometry_of(job.config) else None
    return None
