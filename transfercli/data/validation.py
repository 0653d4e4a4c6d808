"""Results of reading all files of a data set, and the checks that they must pass before training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from transfercli.config.schema import ExpectConfig
from transfercli.data.cache.index import Entry
from transfercli.data.corrections.source import AppliedCorrections
from transfercli.data.dataset import Record, Split
from transfercli.data.decoding.decode import resize_array
from transfercli.data.image import Decoded
from transfercli.data.image_notes import count_notes
from transfercli.data.ingest import Ingest, Reading
from transfercli.data.label_sets import UNKNOWN, LabelSet, label_targets, labels_in
from transfercli.data.sources.labels import find_label, shown
from transfercli.data.sources.listing import HELD_OUT, Listing
from transfercli.errors import DataError, DiskError
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of

_LISTED = 5
_GONE = "bring the images back (is a disk not mounted?), or change data.expect"


@dataclass(frozen=True, slots=True)
class IngestedFile:
    """Listed file with its result of ingest.

    Attributes:
        name: posix path relative to the data root.
        split: the split that the source gives; `train` images may be assigned to another one later.
        is_image: False for other files in a class folder, such as text files.
        redo: decodes the file again.
        file: absolute path; "" for arrays.
        group: name of its group by `data.group`, or "".
        decided: True if a person looked at its label (`data.corrections`).
    """

    name: str
    label: str
    split: str
    is_image: bool
    entry: Entry
    redo: Callable[[], Decoded]
    file: str = ""
    group: str = ""
    decided: bool = False

    def record(self, split: str) -> Record:
        """Return the record of the file in the split that it is assigned to."""
        entry = self.entry
        return Record(self.name, entry.sha256, self.label, split, entry.width, entry.height, entry.problem, self.group)


@dataclass(frozen=True)
class Findings:
    """All listed files after reading, in the listing's order, before any check.

    corrections: of their labels, which the files already have; None without any.
    """

    listing: Listing
    reading: Reading
    ingest: Ingest
    files: list[IngestedFile]
    corrections: AppliedCorrections | None = None

    @cached_property
    def usable(self) -> list[IngestedFile]:
        """Files without a problem."""
        return [file for file in self.files if not file.entry.problem]

    @cached_property
    def note_counts(self) -> Counter[str]:
        """Number of usable images with each kind of note of the decoder."""
        return count_notes(file.entry.notes for file in self.usable)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Classes of the training images and those that related images add, sorted by name."""
        return tuple(sorted(self.listing.classes))

    def labels_of(self, file: IngestedFile) -> tuple[str, ...]:
        """Return the class of a file, or the labels that its image has."""
        return (
            (quantity,) if (quantity := self.listing.quantity) else labels_in(file.label, several=self.listing.several)
        )


def read_images(listing: Listing, reading: Reading) -> Findings:
    """Read, check and decode all listed files and arrays in one pass.

    If the disk of the image cache is full, the pass starts again without it, unless `compute.cache` is `require`.
    """
    try:
        return _read_images(listing, reading)
    except DiskError as error:
        if reading.compute.cache != "auto":
            raise
        reading.reporter.warning(f"{error.message}; images are decoded for this run only")
    compute = reading.compute.model_copy(update={"cache": "off"})
    return _read_images(listing, replace(reading, compute=compute))


def _read_images(listing: Listing, reading: Reading) -> Findings:
    geometry, groups, files = reading.geometry, listing.groups, list[IngestedFile]()
    with Ingest(reading, len(listing)) as ingest:
        for item, entry in zip(listing.items, ingest.files(listing.items), strict=True):
            redo = partial(ingest.decode_again, item.file)
            about = item.name, item.label, item.split, item.is_image
            files.append(IngestedFile(*about, entry, redo, item.file, groups.get(item.name, "")))
        for arrays in listing.arrays:
            for index, entry in enumerate(ingest.arrays(arrays)):
                redo = partial(resize_array, arrays.images[index], geometry)
                name, label = arrays.names[index], arrays.labels[index]
                group = groups.get(name, "")
                files.append(IngestedFile(name, label, arrays.split, True, entry, redo, group=group))
    return Findings(listing, reading, ingest, files)


def split_of(
    name: str,
    members: Sequence[IngestedFile],
    labels: tuple[str, ...],
    findings: Findings,
    paths: Sequence[str] | None = None,
) -> Split:
    """Return a split of usable files; `paths` replaces their names."""
    ingest = findings.ingest
    if findings.listing.several:
        targets = label_targets((file.label for file in members), labels)
    elif findings.listing.quantity:
        targets = np.array([float(file.label) for file in members], np.float32)
    else:
        index_of = {label: index for index, label in enumerate(labels)}
        targets = np.array([index_of[file.label] for file in members], np.int32)
    return Split(
        name,
        tuple(paths or [file.name for file in members]),
        targets,
        labels,
        ingest.images([file.entry for file in members], [file.redo for file in members]),
        tuple(file.entry.sha256 for file in members),
        tuple((file.entry.width, file.entry.height) for file in members),
        tuple(file.entry.notes for file in members),
        tuple(file.group for file in members) if any(file.group for file in members) else (),
        tuple(file.entry.pixel_hash for file in members),
    )


def check_bad(findings: Findings) -> None:
    """Raise `DataError` if more images are unusable than `max_bad_fraction` allows; warn of fewer."""
    reading = findings.reading
    images = [file for file in findings.files if file.is_image]
    bad = [file for file in images if file.entry.problem]
    others = [file for file in findings.files if not file.is_image]
    if others:
        reading.reporter.warning(f"{counted(len(others), 'file')} left out, not an image: {first_problems(others)}")
    if not bad:
        return
    message = f"{len(bad)} of {counted(len(images), 'image')} cannot be used: {first_problems(bad)}"
    if len(bad) > reading.max_bad_fraction * len(images):
        raise DataError(
            f"{message}; {reading.max_bad_name} allows {reading.max_bad_fraction:g} of them",
            f"repair or remove these files, or raise {reading.max_bad_name}",
        )
    reading.reporter.warning(f"{message}; they are left out")


def first_problems(files: Sequence[IngestedFile]) -> str:
    """Return the first few files with their problems, for a message."""
    listed = "; ".join(f"{file.name!r} ({file.entry.problem})" for file in files[:_LISTED])
    return listed + (f"; and {len(files) - _LISTED} more" if len(files) > _LISTED else "")


def check_usable(findings: Findings) -> None:
    """Raise `DataError` if a class has no usable training image, or a split of the source no usable image."""
    files, usable, labels = findings.files, findings.usable, findings.labels
    trainable = Counter(label for file in usable if file.split == "train" for label in findings.labels_of(file))
    for label in labels:
        bad = [file for file in files if file.entry.problem and label in findings.labels_of(file)]
        if bad and not trainable[label] and label not in findings.listing.added:
            raise DataError(f"{findings.listing.nouns[0]} {label!r} has no usable image: {first_problems(bad)}")
    for split in sorted({file.split for file in files} - {file.split for file in usable}):
        bad = [file for file in files if file.split == split]
        raise DataError(f"none of the {split} images can be used: {first_problems(bad)}")


def check_one_sided_labels(findings: Findings) -> None:
    """Raise `DataError` if every training image has the same answer to one of several labels.

    Unknown answers do not count. Such a label cannot be learnt.
    """
    if texts := [*_unlearnable(findings).values()]:
        raise DataError(
            f"{counted(len(texts), 'label')} cannot be learnt: {first_of(texts, _LISTED)}",
            "add training images with and without the label, or remove it from the table or from data.columns.label",
        )


def _unlearnable(findings: Findings) -> dict[str, str]:
    """Return the labels, of several, that all training images answer in the same way, with a text on each."""
    files = [file for file in findings.usable if file.split == "train"]
    if not findings.listing.several or not files:
        return {}
    return _one_sided(label_targets((file.label for file in files), findings.labels), findings.labels)


def check_held_out_labels(expected: ExpectConfig | None, findings: Findings) -> None:
    """Raise `DataError` if validation or test images of the source all have the same answer to one of several labels.

    Nothing about such a label can be measured. Labels that `data.expect.classes` names may be so, with a warning.
    Those that cannot be learnt are refused by `check_one_sided_labels`.
    """
    if not findings.listing.several:
        return
    meant = expected.classes if expected and isinstance(expected.classes, list) else []
    named = {find_label(name, findings.labels) for name in meant}
    left_out = named | _unlearnable(findings).keys()
    labels = [label for label in findings.labels if label not in left_out]
    for split in HELD_OUT:
        files = [file for file in findings.usable if file.split == split]
        if not files or not labels:
            continue
        # `check_classes` refuses labels that no training image has; `data check` reports further problems beside them.
        targets = label_targets((file.label for file in files), labels, leave_out_others=True)
        if texts := [*_one_sided(targets, labels).values()]:
            raise DataError(
                f"{split} images: {first_of(texts, _LISTED)}: such a label cannot be measured there",
                f"move images with and without it to {split}, let data.{split} be a fraction, or name the label in"
                " data.expect.classes if it is meant",
            )


def _one_sided(targets: np.ndarray, labels: Sequence[str]) -> dict[str, str]:
    """Return the labels that no image has, or every one, with a text on each. targets: int [N, L], as in `Split`."""
    texts = {}
    for label, column in zip(labels, targets.T, strict=True):
        known, positive = int((column != UNKNOWN).sum()), int((column == 1).sum())
        unknown = f" ({len(column) - known} unknown)" if known < len(column) else ""
        if not positive:
            texts[label] = f"none of {counted(known, 'image')} has {label!r}{unknown}"
        elif positive == known:
            texts[label] = f"all of {counted(known, 'image')} have {label!r}{unknown}"
    return texts


def check_judged(splits: Iterable[Split]) -> None:
    """Raise `DataError` if every label of every image of a split is unknown: it can teach and measure nothing."""
    for split in splits:
        if split.several and not (split.targets != UNKNOWN).any():
            raise DataError(
                f"every label of the {counted(len(split.targets), f'{split.name} image')} is unknown",
                f"judge labels of some of them, or give {split.name} images whose labels are known",
            )


def warn_of_one_sided_labels(splits: Iterable[Split], reporter: Reporter) -> None:
    """Warn of labels that no image of a split has, or every one: some metrics of them are undefined there."""
    found = [
        f"{split.name} images: {first_of(texts, _LISTED)}"
        for split in splits
        if split.several and (texts := [*_one_sided(split.targets, split.labels).values()])
    ]
    if found:
        reporter.warning(
            f"{'; '.join(found)}: metrics that need images with and without a label, such as its average precision, are"
            " undefined there"
        )


def check_copies(findings: Findings) -> None:
    """Raise `DataError` if more images with several labels than `max_bad_fraction` contradict a copy of themselves.

    Warn of fewer. Copies have the same pixels; they contradict each other if one has a label that another lacks.
    """
    if not findings.listing.several:
        return
    copies: defaultdict[str, list[IngestedFile]] = defaultdict(list)
    for file in findings.usable:
        copies[file.entry.pixel_hash].append(file)
    texts, number = [], 0
    for files in copies.values():
        if labels := contradicted([LabelSet.read(file.label) for file in files]):
            number += len(files)
            names = first_of([file.name for file in files], _LISTED, written=repr)
            texts.append(f"{names} (contradicted: {first_of(labels, _LISTED, written=repr)})")
    if not texts:
        return
    reading = findings.reading
    message = (
        f"{counted(number, 'image')} of {len(findings.usable)} have the same pixels as one with other labels:"
        f" {first_of(texts, _LISTED)}"
    )
    if number > reading.max_bad_fraction * len(findings.usable):
        raise DataError(
            f"{message}; {reading.max_bad_name} allows {reading.max_bad_fraction:g} of them",
            f"give copies the same labels, or -1 for unknown; or raise {reading.max_bad_name}",
        )
    reading.reporter.warning(f"{message}; each is used with its own labels")


def contradicted(sets: Sequence[LabelSet]) -> list[str]:
    """Return the labels that one of the sets has and another lacks, sorted."""
    return sorted({label for one in sets for label in one.has if any(label not in other.named for other in sets)})


def check_expected(expected: ExpectConfig | None, findings: Findings) -> None:
    """Raise `DataError` if images or classes that `data.expect` names are not there."""
    if expected is None:
        return
    count = len(findings.usable)
    present = {label for file in findings.usable for label in findings.labels_of(file)}
    if expected.min_images is not None and count < expected.min_images:
        raise DataError(f"data.expect.min_images is {expected.min_images}, but there are {count} usable images", _GONE)
    if isinstance(expected.classes, int) and len(present) < expected.classes:
        raise DataError(
            f"data.expect.classes is {expected.classes}, but there are {len(present)} classes with usable images", _GONE
        )
    named = expected.classes if isinstance(expected.classes, list) else []
    lost = [label for label in named if find_label(label, present) is None]
    if lost:
        raise DataError(
            f"data.expect.classes: {len(lost)} of {len(named)} classes have no usable image:"
            f" {first_of(lost, _LISTED, written=partial(shown, others=present))}",
            _GONE,
        )


def warn_of_several_labels(findings: Findings) -> None:
    """Warn of images with the same pixels as an image of another class."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    if findings.listing.several:  # `check_copies` compares sets
        return
    for file in findings.usable:
        labels[file.entry.pixel_hash].add(file.label)
    names = [file.name for file in findings.usable if len(labels[file.entry.pixel_hash]) > 1]
    if names:
        first, other = ", ".join(map(repr, names[:_LISTED])), "number" if findings.listing.quantity else "class"
        findings.reading.reporter.warning(
            f"{counted(len(names), 'image')} with the same pixels as an image of another {other}: {first}; data check"
            " lists the pairs"
        )


# Checks before images are assigned to splits; training stops at the first that fails.
RULES: tuple[Callable[[Findings], None], ...] = (check_bad, check_usable, check_one_sided_labels, check_copies)
