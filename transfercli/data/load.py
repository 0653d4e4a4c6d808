"""From a config's data section to splits with pixels: find, read once, check, put on sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data.dataset import Dataset, Record, Split
from transfercli.data.image import Geometry
from transfercli.data.ingest import Reading
from transfercli.data.sources import keras_datasets
from transfercli.data.sources.folders import FROM_HERE, Item, absolute, must_exist
from transfercli.data.sources.listing import Listing, base_folder, check_classes, check_known, list_images, list_split
from transfercli.data.splitting.assignments import SIDES, Assignments
from transfercli.data.splitting.copy_groups import Sample
from transfercli.data.splitting.splits import Folds, Sides, assign
from transfercli.data.validation import (
    RULES,
    Findings,
    Found,
    check_bad,
    read_images,
    some,
    split_of,
    warn_of_several_labels,
)
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.text import counted

T = TypeVar("T")
_LISTED = 5
_GROW = (
    "rename or remove it, or fine-tune with model.weights: {run: RUN} and model.head.init: extend, which adds classes "
    "and keeps what the run knows of its own"
)


@dataclass(frozen=True)
class DataRequest:
    """Which images to read, and how.

    Attributes:
        image_size: height and width in pixels.
        assignments: of earlier runs of the experiment.
        seed: of `data.split: stratified`.
    """

    config: DataConfig
    image_size: tuple[int, int]
    compute: ComputeConfig
    assignments: Assignments = field(default_factory=Assignments)
    seed: int = 0

    def reading(self, reporter: Reporter) -> Reading:
        geometry = Geometry(*self.image_size, self.config.resize)
        return Reading(geometry, self.config.max_bad_fraction, self.compute, reporter)


def load_dataset(request: DataRequest, reporter: Reporter) -> Dataset:
    """Read all images of a config; raises DataError for every way in which the data cannot be used."""
    listing = list_images(request.config, reporter)
    check_classes(listing)
    findings = read_images(listing, request.reading(reporter))
    for rule in RULES:
        rule(findings)
    warn_of_several_labels(findings)
    return _arrange(request, findings)


@dataclass(frozen=True, slots=True)
class Examination:
    """What `load_dataset` would have gone through, to its end.

    Attributes:
        findings: None where not even names could be listed.
        dataset: None where the images cannot be put on sides.
        refusals: everything that `load_dataset` would raise, the first first; empty where training would begin.
    """

    findings: Findings | None = None
    dataset: Dataset | None = None
    refusals: list[DataError] = field(default_factory=list)


def examine_dataset(request: DataRequest, reporter: Reporter) -> Examination:
    """The same steps and rules as `load_dataset`, but for going on after a refusal, which is kept."""
    refusals: list[DataError] = []
    listing = _tried(partial(list_images, request.config, reporter), refusals)
    if listing is None:
        return Examination(refusals=refusals)
    _tried(partial(check_classes, listing), refusals)
    known = not refusals
    findings = read_images(listing, request.reading(reporter))
    for rule in RULES:
        _tried(partial(rule, findings), refusals)
    dataset = _tried(partial(_arrange, request, findings), refusals) if known else None
    return Examination(findings, dataset, refusals)


def _tried(step: Callable[[], T], refusals: list[DataError]) -> T | None:
    try:
        return step()
    except DataError as error:
        refusals.append(error)
        return None


def _arrange(request: DataRequest, findings: Findings) -> Dataset:
    """Put the usable images on sides; raises DataError where a class has too few."""
    config, usable, labels, listing = request.config, findings.usable, findings.labels, findings.listing
    samples = [Sample(one.entry.pixel_hash, one.label, one.side, listing.groups.get(one.name, "")) for one in usable]
    folds = Folds(config.folds, config.fold) if config.folds and config.fold else None
    drawn = request.seed if config.split == "stratified" else None
    earlier = request.assignments.known(config.folds or 0)
    sides = assign(samples, listing.fractions, earlier, folds=folds, seed=drawn)
    _warn_moved(usable, sides, findings.reading.reporter)
    side_of = {id(one): side for one, side in zip(usable, sides.sides, strict=True)}
    splits = {
        side: split_of(side, members, labels, findings.ingest)
        for side in SIDES
        if (members := [one for one in usable if side_of[id(one)] == side])
    }
    records = tuple(one.record(side_of.get(id(one), "")) for one in findings.found)
    assignments = request.assignments.extended(sides.assignments)
    pixels = {one.entry.sha256: one.entry.pixel_hash for one in usable}
    return Dataset(config.train, records, labels, splits, findings.ingest.counts, assignments, pixels)


def load_recorded_split(
    records: Sequence[Record], root: str, split: str, labels: Sequence[str], reading: Reading
) -> Split:
    """The images of one split of an earlier run, as its dataset.csv lists them.

    Args:
        root: of the run's dataset, as its config gives it.

    Raises DataError where files are missing or unreadable; warns where their bytes have changed since.
    """
    wanted = [record for record in records if record.split == split and not record.problem]
    if not wanted:
        raise DataError(f"the run has no {split} images")
    check_known((record.label for record in wanted), labels, f"recorded {split} images", "the run")
    findings = read_recorded(wanted, root, reading)
    found = findings.found
    lost = [one for one in found if one.entry.problem]
    if lost:
        raise DataError(
            f"{len(lost)} of the run's {counted(len(found), f'{split} image')} cannot be read below {root!r}:"
            f" {some(lost)}",
            "put them back; `evaluate` can also take other images, with --data",
        )
    changed = sum(one.entry.sha256 != record.sha256 for one, record in zip(found, wanted, strict=True))
    if changed:
        reading.reporter.warning(
            f"{changed} of {counted(len(found), f'{split} image')} have changed since the run recorded them"
        )
    return split_of(split, found, tuple(labels), findings.ingest, [record.path for record in wanted])


def read_recorded(records: Sequence[Record], root: str, reading: Reading) -> Findings:
    """Read what an earlier run recorded, in that order, whatever has become of it; `root` as above.

    Raises DataError where a `keras:` set cannot be loaded, or is another one.
    """
    if keras_datasets.is_keras(root):
        listing = Listing([], [_chosen(keras_datasets.load(root), records)])
    else:
        base = base_folder(root)
        listing = Listing([Item(absolute(r.path, base), r.path, r.label, r.split) for r in records])
    return read_images(listing, reading)


def load_folder_split(path: Path, split: str, labels: Sequence[str], reading: Reading) -> Split:
    """Other images for a trained model: a folder of classes, one with `split` inside, or a table.

    Classes are matched by name; fewer are fine. Raises DataError for one that is not in `labels`.
    """
    given, path = str(path), path.expanduser().absolute()
    must_exist(path, "--data", given, FROM_HERE)
    base = base_folder(str(path))
    listing = Listing(list_split(path, split, base))
    check_known(listing.labels_of(split), labels, "images", "the run", _GROW)
    findings = read_images(listing, reading)
    check_bad(findings)
    if not findings.usable:
        raise DataError(f"{str(path)!r} has no usable image")
    return split_of(split, findings.usable, tuple(labels), findings.ingest)


def _chosen(sides: Sequence[keras_datasets.Arrays], records: Sequence[Record]) -> keras_datasets.Arrays:
    """The recorded rows of a `keras:` set, in their order."""
    whole = {part.side: part for part in sides}
    rows = []
    for record in records:
        side, _, number = record.path.partition("/")
        if side not in whole or not number.isdecimal() or int(number) >= len(whole[side].images):
            raise DataError(f"the recorded image {record.path!r} is not in the Keras data set")
        rows.append(whole[side].images[int(number)])
    return keras_datasets.Arrays(
        records[0].split, np.stack(rows), [r.label for r in records], [r.path for r in records]
    )


def _warn_moved(usable: Sequence[Found], sides: Sides, reporter: Reporter) -> None:
    """A copy of a test image, or another image of its group, must not be trained on: say that it was kept out."""
    training = [one for one in usable if one.side == "train"]
    for moved, why in (
        (sides.held_out, "as a copy of an image there"),
        (sides.followed, "with others of their group"),
    ):
        found = [one for one in training if one.entry.pixel_hash in moved]
        if found:
            first = ", ".join(repr(one.name) for one in found[:_LISTED])
            reporter.warning(f"{counted(len(found), 'training image')} moved to validation or test, {why}: {first}")
    if sides.torn:
        first = ", ".join(map(repr, sides.torn[:_LISTED]))
        reporter.warning(
            f"{counted(len(sides.torn), 'group')} on several sides, fixed by earlier runs of this experiment or by the "
            f"data: {first}; give the experiment a new name to keep them together"
        )
