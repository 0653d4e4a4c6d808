"""What one pass over the images found, and the rules that it must keep before anybody trains on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from transfercli.data.cache.index import Entry
from transfercli.data.dataset import Record, Split
from transfercli.data.decoding.decode import decode_file, resize_array
from transfercli.data.image import Decoded
from transfercli.data.ingest import Ingest, Reading
from transfercli.data.sources.listing import Listing
from transfercli.errors import DataError
from transfercli.text import counted

_LISTED = 5


@dataclass(frozen=True, slots=True)
class Found:
    """An image or a file that is none, and what ingest says of it.

    Attributes:
        name: posix path relative to the data root.
        side: as the source names it; `train` leaves it to the splits.
        counted: whether it counts among the images: text files that lie about do not.
        redo: decodes it again.
        file: absolute path; "" for arrays.
    """

    name: str
    label: str
    side: str
    counted: bool
    entry: Entry
    redo: Callable[[], Decoded]
    file: str = ""

    def record(self, split: str) -> Record:
        entry = self.entry
        return Record(self.name, entry.sha256, self.label, split, entry.width, entry.height, entry.problem)


@dataclass(frozen=True)
class Findings:
    """Everything that was listed, in the listing's order, before any rule is applied."""

    listing: Listing
    reading: Reading
    ingest: Ingest
    found: list[Found]

    @cached_property
    def usable(self) -> list[Found]:
        return [one for one in self.found if not one.entry.problem]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The classes to train on, sorted by name."""
        return tuple(sorted(self.listing.labels_of("train")))


def read_images(listing: Listing, reading: Reading) -> Findings:
    """Read, check and decode everything that is listed, in one pass."""
    geometry, found = reading.geometry, []
    with Ingest(reading, len(listing)) as ingest:
        for item, entry in zip(listing.items, ingest.files(listing.items), strict=True):
            redo = partial(decode_file, item.file, geometry)
            found.append(Found(item.name, item.label, item.side, item.counted, entry, redo, item.file))
        for arrays in listing.arrays:
            for index, entry in enumerate(ingest.arrays(arrays)):
                again = partial(resize_array, arrays.images[index], geometry)
                found.append(Found(arrays.names[index], arrays.labels[index], arrays.side, True, entry, again))
    return Findings(listing, reading, ingest, found)


def split_of(
    name: str, members: Sequence[Found], labels: tuple[str, ...], ingest: Ingest, paths: Sequence[str] | None = None
) -> Split:
    """The usable `members` of one side; `paths` where they go by other names."""
    index = {label: number for number, label in enumerate(labels)}
    return Split(
        name,
        tuple(paths or [one.name for one in members]),
        np.array([index[one.label] for one in members], np.int32),
        labels,
        ingest.images([one.entry for one in members], [one.redo for one in members]),
        tuple(one.entry.sha256 for one in members),
        tuple((one.entry.width, one.entry.height) for one in members),
    )


def check_bad(findings: Findings) -> None:
    """Raise DataError where more files are bad than `max_bad_fraction` allows; warn of the others."""
    found, reading = findings.found, findings.reading
    images = [one for one in found if one.counted]
    bad = [one for one in images if one.entry.problem]
    stray = len(found) - len(images)
    if stray:
        first = some([one for one in found if not one.counted])
        reading.reporter.warning(f"{counted(stray, 'file')} left out as no image: {first}")
    if not bad:
        return
    said = f"{len(bad)} of {counted(len(images), 'image')} cannot be used: {some(bad)}"
    if len(bad) > reading.max_bad_fraction * len(images):
        raise DataError(
            f"{said}; data.max_bad_fraction allows {reading.max_bad_fraction:g} of them",
            "mend or remove these files, or allow more",
        )
    reading.reporter.warning(f"{said}; they are left out")


def some(found: Sequence[Found]) -> str:
    """The first few of them with their problems, for a message."""
    listed = "; ".join(f"{one.name!r} ({one.entry.problem})" for one in found[:_LISTED])
    return listed + (f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else "")


def check_usable(findings: Findings) -> None:
    """Every class must have an image to train on, and every named side an image at all; else raise DataError."""
    found, usable, labels = findings.found, findings.usable, findings.labels
    left = Counter(one.label for one in usable if one.side == "train")
    for label in labels:
        if not left[label]:
            bad = [one for one in found if one.label == label and one.entry.problem]
            raise DataError(f"class {label!r} has no usable image: {some(bad)}")
    for side in sorted({one.side for one in found} - {one.side for one in usable}):
        raise DataError(f"none of the {side} images can be used: {some([one for one in found if one.side == side])}")


def warn_of_several_labels(findings: Findings) -> None:
    """An image that stands in two classes teaches neither: say which, and let it be."""
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for one in findings.usable:
        labels[one.entry.pixel_hash].add(one.label)
    torn = [one.name for one in findings.usable if len(labels[one.entry.pixel_hash]) > 1]
    if torn:
        first = ", ".join(map(repr, torn[:_LISTED]))
        findings.reading.reporter.warning(
            f"{counted(len(torn), 'image')} with the pixels of one of another class: {first}; data check pairs them"
        )


# What must hold before the images are put on sides; the first that does not is what a training says.
RULES: tuple[Callable[[Findings], None], ...] = (check_bad, check_usable)
