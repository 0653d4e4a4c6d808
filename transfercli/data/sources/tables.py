"""Image tables: CSV or JSONL files with a path, a label and, optionally, a split in each row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from transfercli.config.paths import TABLE_SUFFIXES
from transfercli.data.label_sets import LabelSet
from transfercli.data.sources.column_errors import columns_error
from transfercli.data.sources.folders import Item
from transfercli.data.sources.layout import SPLIT_NAMES
from transfercli.data.sources.storage.table_paths import row_place
from transfercli.data.sources.table_format import (
    COLUMN_SEPARATORS,
    TableFormat,
    encoding_of,
    separator_of,
    valid_text,
)
from transfercli.data.sources.table_labels import LabelReader
from transfercli.errors import DataError
from transfercli.reporting import Reporter

_DEFAULT = TableFormat()
_SEPARATOR_NAMES = dict(zip(COLUMN_SEPARATORS, ("a comma", "a semicolon", "a tab"), strict=True))
_HEAD = 20_000  # rows that an error about columns looks at


def is_table(path: Path) -> bool:
    """Return True if the name is that of a CSV or JSONL file."""
    return path.suffix.lower() in TABLE_SUFFIXES


def table_items(path: Path, base: Path, table: TableFormat = _DEFAULT, reporter: Reporter | None = None) -> list[Item]:
    """Return the images of a table, sorted by path; paths in it are relative to the table's folder.

    An empty `split` means `train`. An unlabelled image has the label "" and may be listed twice. An image that may have
    several labels may have a row for each of them. Raises `DataError` with the line number for a missing column, an
    empty value, too many values, an unknown split, a path listed twice, or text that is not a valid name.
    """
    items: dict[str, Item] = {}
    labels = LabelReader(path, table, reporter or Reporter())
    for line, row in table_rows(path, table):
        place = f"{path.name}:{line}"
        given = image_path(row, table, place)
        label, split = (labels.read(row, place), split_of_row(row, table, place)) if table.labelled else ("", "train")
        group, (file, name) = _text(row, table.group, place), row_place(given, path, base, table.cache, place)
        item = Item(file, name, label, split, group=group, several=table.several)
        items[file] = _joined(items[file], item, given, place, table) if file in items and table.labelled else item
    if not items:
        columns = ",".join(table.required)
        raise DataError(f"{path.name} lists no images", f"expected the columns {columns} and one row per image")
    labels.check()
    return sorted(items.values(), key=lambda item: item.name)


def _joined(earlier: Item, item: Item, given: str, place: str, table: TableFormat) -> Item:
    """Return an image that has a row for each of its labels. Raises `DataError` if its rows contradict each other."""
    message = f"{place}: {given!r} is listed twice, with the labels {earlier.label!r} and {item.label!r}"
    if not table.several:
        hint = "keep one of the rows: an image has one label and one split; for several labels, set task: multilabel"
        raise DataError(message, hint)
    before, labels = LabelSet.read(earlier.label), LabelSet.read(item.label)
    one_each = table.separator is None and isinstance(table.columns.label, str) and len(labels.has) == 1 and before.has
    if not one_each or before.unknown or labels.unknown:
        raise DataError(message, "keep one of the rows: all labels of an image stand in one row, or each in its own")
    if (earlier.split, earlier.group) != (item.split, item.group):
        raise DataError(f"{message}, in different splits or groups", "an image has one split and one group")
    return replace(item, label=LabelSet.of(before.has + labels.has).text)


def column_values(
    path: Path, base: Path, names: Sequence[str], table: TableFormat = _DEFAULT
) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the columns of a table, and the values of `names` by path relative to `base`.

    A missing value is "". Raises `DataError` if the table cannot be read.
    """
    columns: dict[str, None] = {}
    values = {}
    for line, row in table_rows(path, table):
        columns |= dict.fromkeys(row)
        place = f"{path.name}:{line}"
        _, image = row_place(image_path(row, table, place), path, base, table.cache, place)
        values[image] = {name: _text(row, name, place) for name in names}
    return list(columns), values


def column_names(path: Path, table: TableFormat = _DEFAULT) -> list[str]:
    """Return the columns of a table; of JSON lines, the keys of the first one. Raises `DataError` as `table_rows`."""
    return next((list(row) for _, row in table_rows(path, table)), [])


def table_rows(path: Path, table: TableFormat) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and values of each row. Raises `DataError` if the table cannot be read."""
    try:
        encoding = encoding_of(path)
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        with path.open(encoding=encoding, errors=errors, newline="") as file:
            read = _json_rows if path.suffix.lower() == ".jsonl" else _csv_rows
            yield from read(path, file, table)
    except (csv.Error, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error


def _csv_rows(path: Path, file: IO[str], table: TableFormat) -> Iterator[tuple[int, dict[str, Any]]]:
    separator = separator_of(file.readline(), table)
    file.seek(0)
    reader = csv.DictReader(file, strict=True, delimiter=separator)
    columns = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    used = (*table.required, table.columns.split)
    if table.lacking(columns) or any(columns.count(name) > 1 for name in used):
        raise columns_error(path, columns, [(reader.line_num, row) for row in islice(reader, _HEAD)], table)
    for row in reader:
        if any(row.pop(None, ())):  # the key under which DictReader stores surplus values
            raise DataError(
                f"{path.name}:{reader.line_num}: more values than the {len(columns)} columns",
                f'put a value that contains {_SEPARATOR_NAMES[separator]} in double quotes: "a{separator} b.jpg"',
            )
        yield reader.line_num, row


def _json_rows(path: Path, file: IO[str], table: TableFormat) -> Iterator[tuple[int, dict[str, Any]]]:
    keys: dict[str, None] = {}
    head: list[tuple[int, dict[str, Any]]] = []
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path.name}:{line}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f'{path.name}:{line}: expected an object such as {{"path": "a.jpg", "label": "cat"}}')
        keys |= dict.fromkeys(row)
        head += [(line, row)] if len(head) < _HEAD else []
        yield line, row
    if keys and not isinstance(table.columns.label, str) and table.lacking(keys):
        raise columns_error(path, [*keys], head, table)


def image_path(row: dict[str, Any], table: TableFormat, place: str) -> str:
    """Return the path that a row gives. Raises `DataError` if it is none; `place` is table and line."""
    return valid_text(table.path_of(row, place), table.columns.path, place)


def split_of_row(row: dict[str, Any], table: TableFormat, place: str) -> str:
    column = table.columns.split
    given = row.get(column) or ""
    split = SPLIT_NAMES.get(given.strip().lower() or "train") if isinstance(given, str) else None
    if split is None:
        raise DataError(f"{place}: {column} {given!r} is not one of train, validation, test or empty")
    return split


def _text(row: dict[str, Any], column: str | None, place: str) -> str:
    """Return the value of an additional column as text; "" if it is missing."""
    value = row.get(column) if column else None
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise DataError(f"{place}: {column} must be text or a number, received {value!r}")
    return str(value).strip()
