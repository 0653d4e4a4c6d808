"""Image tables: CSV or JSONL files with a path, a label and, optionally, a split in each row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from transfercli.config.paths import TABLE_SUFFIXES
from transfercli.data.label_sets import LabelSet
from transfercli.data.sources.folders import Item, absolute, relative
from transfercli.data.sources.labels import normalised_label
from transfercli.data.sources.layout import SPLIT_NAMES
from transfercli.data.sources.table_format import TableFormat, columns_error, encoding_of, separator_of
from transfercli.errors import DataError

_DEFAULT = TableFormat()


def is_table(path: Path) -> bool:
    """Return True if the name is that of a CSV or JSONL file."""
    return path.suffix.lower() in TABLE_SUFFIXES


def table_items(path: Path, base: Path, table: TableFormat = _DEFAULT) -> list[Item]:
    """Return the images of a table, sorted by path; paths in it are relative to the table's folder.

    An empty `split` means `train`. An unlabelled image has the label "" and may be listed twice. Raises `DataError`
    with the line number for a missing column, an empty value, too many values, an unknown split, a path listed twice,
    or text that is not a valid name.
    """
    items: dict[str, Item] = {}
    for line, row in _rows(path, table):
        given, labels, split = _checked(row, table, path, line)
        several = isinstance(labels, LabelSet)
        label = labels.text if isinstance(labels, LabelSet) else labels
        file = absolute(given, path.parent)
        if file in items and table.labelled:
            raise DataError(
                f"{path.name}:{line}: {given!r} is listed twice, with the labels {items[file].label!r} and {label!r}",
                "keep one of the rows: an image has one label and one split",
            )
        group = _text(row, table.group, path, line)
        items[file] = Item(file, relative(file, base), label, split, group=group, several=several)
    if not items:
        columns = ",".join(table.required)
        raise DataError(f"{path.name} lists no images", f"expected the columns {columns} and one row per image")
    return sorted(items.values(), key=lambda item: item.name)


def first_labels(path: Path, table: TableFormat) -> LabelSet | None:
    """Return the labels in the first row of a table if an image may have several; None if it has one.

    Raises `DataError` if the table cannot be read.
    """
    return next((table.labels_of(row, f"{path.name}:{line}") for line, row in _rows(path, table)), None)


def column_values(
    path: Path, base: Path, names: Sequence[str], table: TableFormat = _DEFAULT
) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the columns of a table, and the values of `names` by path relative to `base`.

    A missing value is "". Raises `DataError` if the table cannot be read.
    """
    columns: dict[str, None] = {}
    values = {}
    for line, row in _rows(path, table):
        columns |= dict.fromkeys(row)
        file = absolute(_checked(row, table, path, line)[0], path.parent)
        values[relative(file, base)] = {name: _text(row, name, path, line) for name in names}
    return list(columns), values


def _rows(path: Path, table: TableFormat) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and values of each row. Raises `DataError` if the table cannot be read."""
    try:
        encoding = encoding_of(path)
        errors = "surrogateescape" if encoding == "utf-8-sig" else "strict"
        with path.open(encoding=encoding, errors=errors, newline="") as file:
            yield from _json_rows(path, file) if path.suffix.lower() == ".jsonl" else _csv_rows(path, file, table)
    except (csv.Error, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error


def _csv_rows(path: Path, file: IO[str], table: TableFormat) -> Iterator[tuple[int, dict[str, Any]]]:
    separator = separator_of(file.readline(), table.required)
    file.seek(0)
    reader = csv.DictReader(file, strict=True, delimiter=separator)
    columns = reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
    used = (*table.required, table.columns.split)
    if not {*table.required} <= {*columns} or any(columns.count(name) > 1 for name in used):
        raise columns_error(path, columns, next(reader, {}), table)
    for row in reader:
        if any(row.pop(None, ())):  # the key under which DictReader stores surplus values
            raise DataError(
                f"{path.name}:{reader.line_num}: more values than the {len(columns)} columns",
                'put a value that contains a comma in double quotes: "a, b.jpg"',
            )
        yield reader.line_num, row


def _json_rows(path: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path.name}:{line}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f'{path.name}:{line}: expected an object such as {{"path": "a.jpg", "label": "cat"}}')
        yield line, row


def _checked(row: dict[str, Any], table: TableFormat, path: Path, line: int) -> tuple[str, str | LabelSet, str]:
    """Return path, label and split of a row. Raises `DataError` if one of them is invalid."""
    place, columns = f"{path.name}:{line}", table.columns
    file = _valid(table.path_of(row, place), columns.path, place)
    if not table.labelled:
        return file, "", "train"
    label = _label(row, table, place)
    given = row.get(columns.split) or ""
    split = SPLIT_NAMES.get(given.strip().lower() or "train") if isinstance(given, str) else None
    if split is None:
        raise DataError(f"{place}: {columns.split} {given!r} is not one of train, validation, test or empty")
    return file, label, split


def _label(row: dict[str, Any], table: TableFormat, place: str) -> str | LabelSet:
    """Return the label of a row, or its labels if the image may have several."""
    several = table.labels_of(row, place)
    if several is not None:
        return several
    (column,) = table.label_columns
    label = normalised_label(_valid(row.get(column), column, place, "strict"))
    if not label:
        raise DataError(f"{place}: {column} must be text, received {row.get(column)!r}")
    return label


def _valid(value: Any, column: str, place: str, errors: str = "surrogateescape") -> str:
    """Return a path or label as text.

    Raises `DataError` if it is empty, holds NUL, or cannot be encoded; a path may hold bytes that are not UTF-8.
    """
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not text:
        raise DataError(f"{place}: {column} must be text, received {value!r}")
    try:
        text.encode("utf-8", errors)
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {column} {text!r} is not valid Unicode") from error
    if "\0" in text:
        raise DataError(f"{place}: {column} {text!r} holds a NUL character")
    return text


def _text(row: dict[str, Any], column: str | None, path: Path, line: int) -> str:
    """Return the value of an additional column as text; "" if it is missing."""
    value = row.get(column) if column else None
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise DataError(f"{path.name}:{line}: {column} must be text or a number, received {value!r}")
    return str(value).strip()
