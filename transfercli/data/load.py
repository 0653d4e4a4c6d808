"""From a config's data section to splits with pixels: find, read once, check, put on sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data import keras_sets
from transfercli.data.cache import placed
from transfercli.data.cache_index import Entry
from transfercli.data.dataset import SIDES, Dataset, Record, Split
from transfercli.data.decode import Decoded, Geometry, decode_file, resize_array
from transfercli.data.ingest import Ingest, Reading
from transfercli.data.listing import Listing, base_folder, check_known, list_images, list_split
from transfercli.data.sources import Item, absolute, must_exist
from transfercli.data.splits import Sample, assign
from transfercli.errors import DataError
from transfercli.events import Events

_LISTED = 5


@dataclass(frozen=True, slots=True)
class _Found:
    """An image or a file that is none, and what ingest says of it."""

    name: str
    label: str
    side: str
    counted: bool
    entry: Entry
    redo: Callable[[], Decoded]

    def record(self, split: str) -> Record:
        entry = self.entry
        return Record(self.name, entry.sha256, self.label, split, entry.width, entry.height, entry.problem)


def load_dataset(
    config: DataConfig,
    folder: Path,
    *,
    image_size: tuple[int, int],
    compute: ComputeConfig,
    assignments: Mapping[str, str],
    events: Events,
) -> Dataset:
    """Read all images of a config.

    Args:
        folder: the config file's; relative paths are relative to it.
        image_size: height and width in pixels.
        assignments: pixel hash -> side, of earlier runs of the experiment.

    Raises DataError for every way in which the data cannot be used.
    """
    compute = placed(compute, folder)
    reading = Reading(Geometry(*image_size, config.resize), config.max_bad_fraction, compute, events)
    listing = list_images(config, folder, events)
    ingest, found = _ingest(listing, reading)
    _check_bad(found, reading)
    usable = [one for one in found if not one.entry.problem]
    labels = tuple(sorted(listing.labels_of("train")))
    _check_usable(found, usable, labels)
    sides = assign(
        [Sample(one.entry.pixel_hash, one.label, one.side) for one in usable], listing.fractions, assignments
    )
    _warn_held_out(usable, sides.held_out, events)
    side_of = {id(one): side for one, side in zip(usable, sides.sides, strict=True)}
    splits = {
        side: _split(side, members, labels, ingest)
        for side in SIDES
        if (members := [one for one in usable if side_of[id(one)] == side])
    }
    records = tuple(one.record(side_of.get(id(one), "")) for one in found)
    return Dataset(config.train, records, labels, splits, ingest.counts, sides.assignments)


def load_recorded_split(
    records: Sequence[Record], root: str, folder: Path, split: str, labels: Sequence[str], reading: Reading
) -> Split:
    """The images of one split of an earlier run, as its dataset.csv lists them.

    Args:
        root: of the run's dataset, as its config gives it; relative to `folder`.

    Raises DataError where files are missing or unreadable; warns where their bytes have changed since.
    """
    wanted = [record for record in records if record.split == split and not record.problem]
    if not wanted:
        raise DataError(f"the run has no {split} images")
    check_known((record.label for record in wanted), labels, f"recorded {split} images", "the run")
    if keras_sets.is_keras(root):
        listing = Listing([], [_chosen(keras_sets.load(root), wanted)])
    else:
        base = base_folder(root, folder)
        listing = Listing([Item(absolute(r.path, base), r.path, r.label, split) for r in wanted])
    ingest, found = _ingest(listing, reading)
    lost = [one for one in found if one.entry.problem]
    if lost:
        raise DataError(
            f"{len(lost)} of the run's {len(found)} {split} images cannot be read below {root!r}: {_some(lost)}",
            "put them back, or evaluate other images with --data",
        )
    changed = sum(one.entry.sha256 != record.sha256 for one, record in zip(found, wanted, strict=True))
    if changed:
        reading.events.warn(f"{changed} of {len(found)} {split} images have changed since the run recorded them")
    return _split(split, found, tuple(labels), ingest, [record.path for record in wanted])


def load_folder_split(path: Path, split: str, labels: Sequence[str], reading: Reading) -> Split:
    """Other images for a trained model: a folder of classes, one with `split` inside, or a table.

    Classes are matched by name; fewer are fine. Raises DataError for one that is not in `labels`.
    """
    path = path.expanduser().absolute()
    must_exist(path, "--data", str(path))
    base = base_folder(str(path), Path("/"))
    listing = Listing(list_split(path, split, base))
    check_known(listing.labels_of(split), labels, "images", "the run")
    ingest, found = _ingest(listing, reading)
    _check_bad(found, reading)
    usable = [one for one in found if not one.entry.problem]
    if not usable:
        raise DataError(f"{str(path)!r} has no usable image")
    return _split(split, usable, tuple(labels), ingest)


def _ingest(listing: Listing, reading: Reading) -> tuple[Ingest, list[_Found]]:
    geometry, found = reading.geometry, []
    with Ingest(reading, len(listing)) as ingest:
        for item, entry in zip(listing.items, ingest.files(listing.items), strict=True):
            redo = partial(decode_file, item.file, geometry)
            found.append(_Found(item.name, item.label, item.side, item.counted, entry, redo))
        for arrays in listing.arrays:
            for index, entry in enumerate(ingest.arrays(arrays)):
                again = partial(resize_array, arrays.images[index], geometry)
                found.append(_Found(arrays.names[index], arrays.labels[index], arrays.side, True, entry, again))
    return ingest, found


def _chosen(sides: Sequence[keras_sets.Arrays], records: Sequence[Record]) -> keras_sets.Arrays:
    """The recorded rows of a `keras:` set, in their order."""
    whole = {part.side: part for part in sides}
    rows = []
    for record in records:
        side, _, number = record.path.partition("/")
        if side not in whole or not number.isdecimal() or int(number) >= len(whole[side].images):
            raise DataError(f"the recorded image {record.path!r} is not in the Keras data set")
        rows.append(whole[side].images[int(number)])
    return keras_sets.Arrays(records[0].split, np.stack(rows), [r.label for r in records], [r.path for r in records])


def _split(
    name: str, members: Sequence[_Found], labels: tuple[str, ...], ingest: Ingest, paths: Sequence[str] | None = None
) -> Split:
    index = {label: number for number, label in enumerate(labels)}
    return Split(
        name,
        tuple(paths or [one.name for one in members]),
        np.array([index[one.label] for one in members], np.int32),
        labels,
        ingest.images([one.entry for one in members], [one.redo for one in members]),
        tuple(one.entry.sha256 for one in members),
    )


def _check_bad(found: Sequence[_Found], reading: Reading) -> None:
    counted = [one for one in found if one.counted]
    bad = [one for one in counted if one.entry.problem]
    stray = len(found) - len(counted)
    if stray:
        reading.events.warn(
            f"{stray} files are not images and are left out: {_some([o for o in found if not o.counted])}"
        )
    if not bad:
        return
    said = f"{len(bad)} of {len(counted)} images cannot be used: {_some(bad)}"
    if len(bad) > reading.max_bad_fraction * len(counted):
        raise DataError(
            f"{said}; data.max_bad_fraction allows {reading.max_bad_fraction:g} of them",
            "mend or remove these files, or allow more",
        )
    reading.events.warn(f"{said}; they are left out")


def _some(found: Sequence[_Found]) -> str:
    listed = "; ".join(f"{one.name!r} ({one.entry.problem})" for one in found[:_LISTED])
    return listed + (f"; and {len(found) - _LISTED} more" if len(found) > _LISTED else "")


def _check_usable(found: Sequence[_Found], usable: Sequence[_Found], labels: Sequence[str]) -> None:
    """Every class must have an image to train on, and every named side an image at all."""
    left = Counter(one.label for one in usable if one.side == "train")
    for label in labels:
        if not left[label]:
            bad = [one for one in found if one.label == label and one.entry.problem]
            raise DataError(f"class {label!r} has no usable image: {_some(bad)}")
    for side in sorted({one.side for one in found} - {one.side for one in usable}):
        raise DataError(f"none of the {side} images can be used: {_some([one for one in found if one.side == side])}")


def _warn_held_out(usable: Sequence[_Found], held_out: set[str], events: Events) -> None:
    """A copy of a test image must not be trained on: say that it was kept out."""
    copies = [one for one in usable if one.side == "train" and one.entry.pixel_hash in held_out]
    if copies:
        first = ", ".join(repr(one.name) for one in copies[:_LISTED])
        events.warn(f"{len(copies)} training images are also validation or test images and are moved there: {first}")
