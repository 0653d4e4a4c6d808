"""Loading of a data set: list the files of a config, read each once, check them and assign them to splits."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.config.types import Task
from transfercli.data.archive_members import is_archive
from transfercli.data.auxiliary_images import with_auxiliary
from transfercli.data.cache.images import cache_root
from transfercli.data.cache.recheck import Recheck
from transfercli.data.corrections.apply import with_corrections
from transfercli.data.corrections.source import Corrections, read_corrections
from transfercli.data.dataset import Dataset, Record, Split
from transfercli.data.image import Geometry
from transfercli.data.image_notes import OF_TRAINING, report_notes
from transfercli.data.ingest import Reading
from transfercli.data.label_sets import LabelSet
from transfercli.data.manifest import read_pixels
from transfercli.data.sources import keras_datasets
from transfercli.data.sources.auxiliary import AuxiliaryListing, list_all, without_auxiliary
from transfercli.data.sources.folders import SHELL_PATH_HINT, Item, check_exists, sub_folders
from transfercli.data.sources.groups import groups_if_any
from transfercli.data.sources.labels import normalised_label
from transfercli.data.sources.listing import (
    Listing,
    base_folder,
    check_classes,
    check_known,
    check_label_names,
    list_split,
)
from transfercli.data.sources.lost_paths import check_found
from transfercli.data.sources.storage.places import addresses_in_errors, given_place
from transfercli.data.sources.storage.table_paths import recorded_place
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.splitting.assignments import SPLITS, Assignments
from transfercli.data.splitting.copy_groups import Sample
from transfercli.data.splitting.share_warnings import warn_of_overruled, warn_of_shared_images, warn_of_shares
from transfercli.data.splitting.splits import Folds, SplitResult, assign
from transfercli.data.transparent_images import report_transparency
from transfercli.data.validation import (
    RULES,
    Findings,
    IngestedFile,
    check_bad,
    check_expected,
    check_held_out_labels,
    check_judged,
    first_problems,
    read_images,
    split_of,
    warn_of_one_sided_labels,
    warn_of_several_labels,
)
from transfercli.errors import ArtefactError, DataError
from transfercli.io.addresses import COPIES, as_given, with_addresses
from transfercli.reporting import Reporter
from transfercli.shards import Shard
from transfercli.text import counted

T = TypeVar("T")
_LISTED = 5
_ANY_TABLE = TableFormat()
_EXTEND_HINT = (
    "rename or remove it, or fine-tune with model.weights: {run: RUN} and model.head.init: extend, which adds classes "
    "to those of the run"
)


@dataclass(frozen=True)
class DataRequest:
    """Request for the images of a config.

    Attributes:
        image_size: height and width in pixels.
        assignments: splits and folds that earlier runs of the experiment assigned.
        pixel_files: pixels.csv of these runs.
        seed: seed of `data.split: stratified`.
        task: of the config, resolved: several labels are read for `multilabel` only.
        recheck: sample of unchanged files that are read again; None: no file is.
    """

    config: DataConfig
    image_size: tuple[int, int]
    compute: ComputeConfig
    assignments: Assignments = field(default_factory=Assignments)
    seed: int = 0
    recheck: Recheck | None = None
    pixel_files: tuple[Path, ...] = ()
    task: Task = "classify"

    def reading(self, reporter: Reporter) -> Reading:
        """Return the settings for reading the images."""
        geometry = Geometry.of(self.config, self.image_size)
        return Reading(geometry, self.config.max_bad_fraction, self.compute, reporter, self.recheck)


def load_dataset(request: DataRequest, reporter: Reporter) -> Dataset:
    """Read all images of a config. Raises `DataError` if the data cannot be used."""
    return read_checked_images(request, reporter).dataset(request, reporter)


@dataclass(frozen=True)
class CheckedImages:
    """Images of a config that were read and can be used, before they are assigned to splits."""

    findings: Findings
    auxiliary: AuxiliaryListing

    def dataset(self, request: DataRequest, reporter: Reporter) -> Dataset:
        """Return the data set of a request for these images; it may ask for other splits than they were read for.

        Raises `DataError` if the images cannot be assigned.
        """
        reading = request.reading(reporter)
        dataset = _assign_splits(request, replace(self.findings, reading=reading))
        return with_auxiliary(dataset, self.auxiliary, request.config, reading)


def read_checked_images(request: DataRequest, reporter: Reporter) -> CheckedImages:
    """Read all images of a config and check them. Raises `DataError` if the data cannot be used."""
    listing, auxiliary = list_all(request.config, reporter, request.task)
    check_paths(listing, request.config, request.compute)
    corrections = read_corrections(request.config, reporter)
    if corrections is None:  # else the names of the classes follow from the images
        check_labels(listing, request.config)
    findings = _read(request, listing, reporter)
    if corrections is not None:
        findings = with_corrections(findings, corrections, request.config.expect)
        check_labels(findings.listing, request.config)
    for rule in RULES:
        rule(findings)
    check_expected(request.config.expect, findings)
    check_held_out_labels(request.config.expect, findings)
    warn_of_several_labels(findings)
    return CheckedImages(findings, auxiliary)


def check_labels(listing: Listing, config: DataConfig) -> None:
    """Raise `DataError` if training would refuse the names of the classes, or their number."""
    check_classes(listing)
    check_label_names(listing, config.expect)


def check_paths(listing: Listing, config: DataConfig, compute: ComputeConfig) -> None:
    """Raise `DataError` if none of the files of a split exists."""
    with addresses_in_errors(cache_root(compute)):
        check_found(listing.items, base_folder(config.train), config.path_template, cache_root(compute) / COPIES)


@dataclass(frozen=True, slots=True)
class Examination:
    """Result of all steps of `load_dataset`, also after an error.

    Attributes:
        findings: None if the files could not be listed.
        dataset: None if the images cannot be assigned to splits.
        refusals: all errors, in order; `load_dataset` would raise the first; empty if training could begin.
    """

    findings: Findings | None = None
    dataset: Dataset | None = None
    refusals: list[DataError] = field(default_factory=list)


def examine_dataset(request: DataRequest, reporter: Reporter) -> Examination:
    """Run the steps and checks of `load_dataset`; collect the errors instead of stopping at the first."""
    refusals: list[DataError] = []
    listed = _attempt(partial(list_all, request.config, reporter, request.task), refusals)
    if listed is None and (request.config.unlabelled or request.config.related):
        listed = _attempt(partial(list_all, without_auxiliary(request.config), Reporter(), request.task), refusals)
    if listed is None:
        return Examination(refusals=refusals)
    listing, auxiliary = listed
    _attempt(partial(check_paths, listing, request.config, request.compute), refusals)
    later = list[DataError]() if refusals else refusals  # other errors follow from the lost files
    corrections = _attempt(partial(read_corrections, request.config, reporter), refusals)
    findings = _attempt_corrections(request, _read(request, listing, reporter), corrections, refusals)
    known = len(refusals)
    _attempt(partial(check_classes, findings.listing), refusals)
    classes_valid = len(refusals) == known
    _attempt(partial(check_label_names, findings.listing, request.config.expect), refusals)
    for rule in RULES:
        _attempt(partial(rule, findings), later)
    _attempt(partial(check_expected, request.config.expect, findings), later)
    _attempt(partial(check_held_out_labels, request.config.expect, findings), later)
    dataset = _attempt(partial(_assign_splits, request, findings), later) if classes_valid else None
    if dataset is not None:
        read_auxiliary = partial(with_auxiliary, dataset, auxiliary, request.config, request.reading(reporter))
        dataset = _attempt(read_auxiliary, later) or dataset
    return Examination(findings, dataset, refusals)


def examine_part(request: DataRequest, shard: Shard, reporter: Reporter) -> tuple[Examination, list[IngestedFile]]:
    """Read a shard of the files, and run the checks that the names of all files decide.

    The second value are the shard's auxiliary files, which are read, too. Nothing is assigned to splits.
    """
    refusals: list[DataError] = []
    listed = _attempt(partial(list_all, request.config, reporter, request.task), refusals)
    if listed is None:
        return Examination(refusals=refusals), []
    listing, auxiliary = listed
    _attempt(partial(check_paths, listing, request.config, request.compute), refusals)
    corrections = _attempt(partial(read_corrections, request.config, reporter), refusals)
    if corrections is None:  # else the names of the classes follow from all images
        _attempt(partial(check_classes, listing), refusals)
        _attempt(partial(check_label_names, listing, request.config.expect), refusals)
    findings = _read(request, listing.part(shard), reporter)
    findings = _attempt_corrections(request, findings, corrections, refusals, listing)
    others = Listing([*auxiliary.unlabelled, *(item for items in auxiliary.related for item in items)]).part(shard)
    read = read_images(others, request.reading(reporter)).files if others.items else []
    return Examination(findings, None, refusals), read


def _read(request: DataRequest, listing: Listing, reporter: Reporter) -> Findings:
    """Read the listed images, and report what the decoder did to some of them."""
    findings, chosen = read_images(listing, request.reading(reporter)), request.config.model_fields_set
    report_transparency(findings, chosen="background" in chosen)
    report_notes(findings.note_counts, chosen, reporter)
    return findings


def _attempt_corrections(
    request: DataRequest,
    findings: Findings,
    corrections: Corrections | None,
    refusals: list[DataError],
    whole: Listing | None = None,
) -> Findings:
    """Return the images with corrected labels; as they are, with an error, if the corrections cannot be used."""
    if corrections is None:
        return findings
    return (
        _attempt(partial(with_corrections, findings, corrections, request.config.expect, whole), refusals) or findings
    )


def _attempt(step: Callable[[], T], refusals: list[DataError]) -> T | None:
    try:
        return step()
    except DataError as error:
        refusals.append(error)
        return None


def _assign_splits(request: DataRequest, findings: Findings) -> Dataset:
    """Assign the usable images to splits.

    Raises `DataError` if a class has too few images, or if nothing is known of the labels of a split.
    """
    config, usable, labels, listing = request.config, findings.usable, findings.labels, findings.listing
    samples = [_sample(file, findings) for file in usable]
    folds = Folds(config.folds, config.fold) if config.folds and config.fold else None
    seed = request.seed if config.split == "stratified" else None
    known = _known_by_content(request, usable, findings.reading.reporter)
    earlier = known.known(config.folds or 0)
    result = assign(samples, listing.fractions, earlier, folds=folds, seed=seed, several=listing.several)
    _warn_of_moved(usable, result, findings.reading.reporter)
    warn_of_overruled(result.overruled, findings.reading.reporter)
    warn_of_shared_images(samples, findings.reading.reporter)
    warn_of_shares(samples, result, listing.fractions, findings.reading.reporter)
    split_by_id = {id(file): split for file, split in zip(usable, result.splits, strict=True)}
    splits = {
        split: split_of(split, members, labels, findings)
        for split in SPLITS
        if (members := [file for file in usable if split_by_id[id(file)] == split])
    }
    check_judged(splits.values())
    warn_of_one_sided_labels(splits.values(), findings.reading.reporter)
    records = tuple(file.record(split_by_id.get(id(file), "")) for file in findings.files)
    assignments = known.extended(result.assignments)
    pixels = {file.entry.sha256: file.entry.pixel_hash for file in usable}
    notes = dict(findings.note_counts)
    counts, before = findings.ingest.counts, request.assignments
    return Dataset(
        config.train,
        records,
        labels,
        splits,
        counts,
        assignments,
        pixels,
        notes,
        earlier=before,
        corrections=findings.corrections,
    )


def _sample(file: IngestedFile, findings: Findings) -> Sample:
    """Return a usable file as an image to assign."""
    labels = LabelSet.read(file.label) if findings.listing.several else LabelSet(findings.labels_of(file))
    return Sample(file.entry.pixel_hash, labels.has, file.split, file.group, labels.unknown)


def _known_by_content(request: DataRequest, usable: Sequence[IngestedFile], reporter: Reporter) -> Assignments:
    """Return the earlier assignments, also of files that earlier runs decoded to other pixels.

    Another version of the decoder or of its libraries, or another key such as `data.levels`, changes the pixel hash of
    the same file, which keeps its split.
    """
    assignments, earlier_of = request.assignments, dict[str, set[str]]()
    hashes = {entry.sha256: entry.pixel_hash for entry in (file.entry for file in usable)}
    new = {sha256: pixels for sha256, pixels in hashes.items() if not assignments.has(pixels)}
    for path in request.pixel_files if new and assignments != Assignments() else ():
        try:
            earlier = read_pixels(path)
        except ArtefactError as error:
            reporter.warning(f"{path.parent.name}: {error.message}; its images are known by their pixels only")
            continue
        for sha256 in new.keys() & earlier.keys():
            if assignments.has(earlier[sha256]):
                earlier_of.setdefault(new[sha256], set()).add(earlier[sha256])
    if earlier_of:
        reporter.info(
            f"{counted(len(earlier_of), 'image')} decoded to other pixels than in earlier runs: their splits stay"
        )
    return assignments.with_new_hashes(earlier_of)


def load_recorded_split(
    records: Sequence[Record],
    root: str,
    split: str,
    labels: Sequence[str],
    reading: Reading,
    max_lost: float = 0.0,
    *,
    several: bool = False,
    quantity: str = "",
) -> Split:
    """Read the images of one split of an earlier run, in the order of its dataset.csv.

    Args:
        root: `data.train` of the run.
        max_lost: largest fraction of missing and unreadable files that are left out, with a warning.
        several: an image may have several labels. quantity: as in `Listing`.

    Raises `DataError` if more files are missing or unreadable, or all; warns if their bytes have changed since.
    """
    wanted = [record for record in records if record.split == split and not record.problem]
    if not wanted:
        raise DataError(f"the run has no {split} images")
    recorded = {record.label for record in wanted}
    named = {label for text in recorded for label in LabelSet.read(text).named} if several else recorded
    if not quantity:
        check_known(named, labels, f"recorded {split} images", "the run")
    findings = read_recorded(wanted, root, reading, several=several, quantity=quantity)
    files = findings.files
    lost = [file for file in files if file.entry.problem]
    if lost:
        message = (
            f"{len(lost)} of the run's {counted(len(files), f'{split} image')} cannot be read below {root!r}:"
            f" {first_problems(lost)}"
        )
        if len(lost) > max_lost * len(files) or len(lost) == len(files):
            allowed = f"; {reading.max_bad_name} allows {max_lost:g} of them" if max_lost else ""
            raise DataError(message + allowed, "restore them; `evaluate` can also use other images, with --data")
        reading.reporter.warning(f"{message}; they are left out")
        pairs = [(file, record) for file, record in zip(files, wanted, strict=True) if not file.entry.problem]
        files, wanted = [file for file, _ in pairs], [record for _, record in pairs]
    changed = sum(file.entry.sha256 != record.sha256 for file, record in zip(files, wanted, strict=True))
    if changed:
        reading.reporter.warning(
            f"{changed} of {counted(len(files), f'{split} image')} have changed since the run recorded them"
        )
    return split_of(split, files, tuple(labels), findings, [record.path for record in wanted])


def read_recorded(
    records: Sequence[Record], root: str, reading: Reading, *, several: bool = False, quantity: str = ""
) -> Findings:
    """Read images recorded by an earlier run, in order; a missing or unreadable file has a problem in its entry.

    Args:
        root: `data.train` of the run.
        several: an image may have several labels. quantity: as in `Listing`.

    Raises `DataError` if a `keras:` data set cannot be loaded or lacks a recorded image.
    """
    groups = {record.path: record.group for record in records if record.group}
    if keras_datasets.is_keras(root):
        listing = Listing([], [_recorded_rows(keras_datasets.load(root), records)], groups=groups)
    else:
        base = base_folder(root)
        cache = cache_root(reading.compute)
        items = [
            Item(recorded_place(record.path, base, cache), record.path, record.label, record.split)
            for record in records
        ]
        listing = Listing(items, groups=groups, several=several, quantity=quantity)
    return read_images(listing, reading)


def load_folder_split(
    path: Path,
    split: str,
    labels: Sequence[str],
    reading: Reading,
    table: TableFormat = _ANY_TABLE,
    shard: Shard | None = None,
) -> Split:
    """Read other images for a trained model: a folder of classes, a folder with `split` inside, or a table.

    Classes are matched by name, and may be missing. table: columns, if it is a table. shard: the part of the images to
    read, which may be empty; None: all. Raises `DataError` for a class that is not in `labels`.
    """
    cache = cache_root(reading.compute)
    given, path = as_given(path), given_place(path, cache, reading.compute.cache_max_gb, reading.reporter)
    if not is_archive(path):
        check_exists(path, "--data", given, SHELL_PATH_HINT)
    base = base_folder(str(path))
    with addresses_in_errors(cache):
        items = list_split(path, split, base, table, reading.reporter, classes_known=True)
    groups = groups_if_any(table.group, items, reading.reporter)
    listing = Listing(items, groups=groups, several=table.several, quantity=table.quantity)
    check_found(listing.items, base, table.template, cache / COPIES)
    hint = with_addresses(_unknown_hint(path, labels), cache)
    check_known(listing.labels_of(split), labels, "images", "the run", hint, listing.nouns)
    if shard is not None:
        listing = listing.part(shard)
    findings = read_images(listing, reading)
    check_bad(findings)
    report_notes(findings.note_counts, OF_TRAINING, reading.reporter)
    if not findings.usable and (shard is None or listing.items):
        raise DataError(f"{given!r} has no usable image")
    return split_of(split, findings.usable, tuple(labels), findings)


def _unknown_hint(path: Path, labels: Sequence[str]) -> str:
    """Return the hint for unknown classes at `path`: the folder to give if the classes are one level further down."""
    parts = [path / name for name in sub_folders(path)] if path.is_dir() else []
    inner = [part for part in parts if not {*map(normalised_label, sub_folders(part))}.isdisjoint(labels)]
    return f"if the classes are its sub-folders, use --data {shlex.quote(str(inner[0]))}" if inner else _EXTEND_HINT


def _recorded_rows(parts: Sequence[keras_datasets.Arrays], records: Sequence[Record]) -> keras_datasets.Arrays:
    """Return the recorded images of a `keras:` data set, in the order of the records."""
    images_of = {part.split: part.images for part in parts}
    images = []
    for record in records:
        split, _, number = record.path.partition("/")
        if split not in images_of or not number.isdecimal() or int(number) >= len(images_of[split]):
            raise DataError(f"the recorded image {record.path!r} is not in the Keras data set")
        images.append(images_of[split][int(number)])
    labels, names = [record.label for record in records], [record.path for record in records]
    return keras_datasets.Arrays(records[0].split, np.stack(images), labels, names)


def _warn_of_moved(usable: Sequence[IngestedFile], result: SplitResult, reporter: Reporter) -> None:
    """Warn of training images that are held out as copies of test images or because of their group."""
    training = [file for file in usable if file.split == "train"]
    for hashes, reason in (
        (result.held_out, "as a copy of an image there"),
        (result.moved_with_group, "with other images of their group"),
    ):
        moved = [file for file in training if file.entry.pixel_hash in hashes]
        if moved:
            first = ", ".join(repr(file.name) for file in moved[:_LISTED])
            reporter.warning(f"{counted(len(moved), 'training image')} moved to validation or test, {reason}: {first}")
    if groups := result.divided_groups:
        first = ", ".join(map(repr, groups[:_LISTED]))
        reporter.warning(
            f"{counted(len(groups), 'group')} in several splits, fixed by earlier runs of this experiment or by the "
            f"data: {first}; give the experiment a new name to keep them together"
        )
