"""Shards: tar archives of images with their labels beside them, as WebDataset has them, and Parquet files.

The files of one image have the same name up to the first dot: `000123.jpg` and `000123.cls` (a class), `000123.json`
(an object with the columns of a table, such as label and split) or `000123.txt` (a class). Images are read in place.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path, PurePosixPath
from typing import Any

from transfercli.data.archive_members import index_of, is_archive, is_parquet, read_bytes
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, Item, is_hidden, relative
from transfercli.data.sources.layout import is_held_out_name, split_of_name
from transfercli.data.sources.storage.parquet_rows import parquet_samples
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.sources.table_labels import LabelReader
from transfercli.data.sources.tables import split_of_row
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.text import first_of

MAX_SHARDS = 100_000
MAX_LABEL_BYTES = 1024 * 1024
_CLASS, _OBJECT, _TEXT = "cls", "json", "txt"  # the first that is there has the label
_BRACES = re.compile(r"\{([^{}]*)\}")
_NUMBERS = re.compile(r"(-\d+-of-\d+(-[0-9a-f]{16})?|[\d._-]+)$")  # at the end of a name: train-00000-of-00009
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_LISTED = 3


def expanded(text: str) -> list[str]:
    """Return the paths or addresses that braces stand for: a range `{000..009}`, or names `{a,b}`.

    Raises `DataError` if these are too many, or a range runs backwards.
    """
    parts = _BRACES.split(text)
    choices = [[part] if number % 2 == 0 else _choices(part, text) for number, part in enumerate(parts)]
    found = ["".join(chosen) for chosen in islice(product(*choices), MAX_SHARDS + 1)]
    if len(found) > MAX_SHARDS:
        raise DataError(f"{text!r} stands for more than {MAX_SHARDS:,} archives", "give a folder of archives")
    return found


def _choices(inner: str, text: str) -> list[str]:
    if not (numbers := _RANGE.fullmatch(inner)):
        return inner.split(",")
    first, last = int(numbers[1]), int(numbers[2])
    if last < first or last - first >= MAX_SHARDS:
        raise DataError(f"{text!r}: the range {{{inner}}} is empty or too long", "write it as {000000..000009}")
    return [str(number).zfill(len(numbers[1])) for number in range(first, last + 1)]


def archives_in(folder: Path) -> list[Path]:
    """Return the archives in a folder that has no sub-folders and no images, as shards are stored; else none.

    They may lie in its only sub-folder, as `data` in a data set of Hugging Face.
    """
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not is_hidden(entry.name)]
        folders = [Path(entry.path) for entry in visible if entry.is_dir()]
    except OSError:  # also of a link that leads to itself
        return []
    if any(Path(entry.name).suffix.lower() in IMAGE_EXTENSIONS for entry in visible):
        return []
    archives = sorted(Path(entry.path) for entry in visible if is_archive(entry.name))
    if len(folders) == 1 and not archives:
        return archives_in(folders[0])
    return [] if folders else archives


def images_in(archive: Path) -> list[str]:
    """Return the paths of an archive's images, such as `ARCHIVE.tar/NAME`, in its order.

    Raises `DataError` if the archive is damaged.
    """
    if is_parquet(archive):
        return [file for file, *_ in parquet_samples(archive, TableFormat(labelled=False))]
    visible = (path for path in map(PurePosixPath, _names(archive)) if not is_hidden(path.name))
    return [f"{archive}/{path}" for path in visible if path.suffix.lower() in IMAGE_EXTENSIONS]


def splits_of(archives: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the archives of each split by the word in their names: train-000.tar, val-000.tar, test-000.tar.

    Without a held-out one, all are training images.
    """
    stems = {archive: _NUMBERS.sub("", archive.stem) for archive in archives}
    if not any(is_held_out_name(stem) for stem in stems.values()):
        return {"train": [*archives]}
    splits: dict[str, list[Path]] = {}
    for archive, stem in stems.items():
        split = split_of_name(stem)
        if not split:
            raise DataError(
                f"the archive {archive.name!r} has no word for a split, and others have",
                "name them train-000000.tar, val-000000.tar and test-000000.tar, or give each split its address",
            )
        splits.setdefault(split, []).append(archive)
    return splits


def shard_items(archives: Sequence[Path], split: str, base: Path, table: TableFormat, reporter: Reporter) -> list[Item]:
    """Return the images of archives, sorted by name. `split` holds for images whose JSON object names none.

    Raises `DataError` for a damaged archive, or an image without a label.
    """
    if not isinstance(table.columns.label, str):
        raise DataError("data.columns.label is a list of columns, and tar shards have one value for labels", "name one")
    items = []
    for archive in archives:
        labels = LabelReader(archive, table, reporter)
        samples = parquet_samples if is_parquet(archive) else _tar_samples
        for file, place, row in samples(archive, table):
            label = labels.read(row, place) if table.labelled else ""
            given = split_of_row(row, table, place) if row.get(table.columns.split) else split
            group = str(row.get(table.group) or "") if table.group else ""
            items.append(Item(file, relative(file, base), label, given, group=group, several=table.several))
        if table.labelled:
            labels.check()
    if not items:
        raise DataError(
            f"the archives {first_of([archive.name for archive in archives], _LISTED)} hold no images",
            "expected members such as 000123.jpg with 000123.cls, 000123.json or 000123.txt",
        )
    return sorted(items, key=lambda item: item.name)


def _names(archive: Path) -> list[str]:
    try:
        return [*index_of(str(archive))]
    except OSError as error:
        raise DataError(f"{archive.name} cannot be read: {error.strerror or error}") from error


def _tar_samples(archive: Path, table: TableFormat) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, place for messages, and values of each image of a tar archive."""
    for key, files in _samples(archive):
        images = [end for end in files if f".{end.lower()}" in IMAGE_EXTENSIONS]
        if len(images) > 1:
            raise DataError(f"{archive.name}: {key!r} has {len(images)} images: {first_of(images, _LISTED)}")
        if images:
            place = f"{archive.name}/{key}"
            yield f"{archive}/{files[images[0]]}", place, _row(archive, files, place, table) if table.labelled else {}


def _samples(archive: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the key of each sample, and its members by their ending, in the order of the archive."""
    samples: dict[str, dict[str, str]] = {}
    for name in _names(archive):
        path = PurePosixPath(name)
        if not is_hidden(path.name):
            stem, _, end = path.name.partition(".")
            samples.setdefault(str(path.with_name(stem)), {})[end] = name
    yield from samples.items()


def _row(archive: Path, files: dict[str, str], place: str, table: TableFormat) -> dict[str, Any]:
    """Return the values of a sample as the row of a table. Raises `DataError` if there are none."""
    end = next((end for end in (_CLASS, _OBJECT, _TEXT) if end in files), None)
    if end is None:
        raise DataError(
            f"{place} has no label: found {first_of(sorted(files), _LISTED)}",
            "put its class into a member that ends in .cls, or the columns of a table into one that ends in .json",
        )
    try:
        text = read_bytes(f"{archive}/{files[end]}", MAX_LABEL_BYTES).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise DataError(f"{place}.{end} is in another encoding than UTF-8", "write the labels in UTF-8") from None
    if end != _OBJECT:
        return {table.label_column(()): text}
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}.json is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f'{place}.json must be an object such as {{"label": "cat"}}, received {text[:80]!r}')
    return row
