"""Image tables: CSV or JSONL files with the columns path, label and, optionally, split."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transfercli.data.sources.folders import Item, absolute, relative
from transfercli.data.sources.labels import normalised_label
from transfercli.data.sources.layout import SPLIT_NAMES
from transfercli.errors import DataError

SUFFIXES = (".csv", ".jsonl")
COLUMNS = ("path", "label", "split")


def is_table(path: Path) -> bool:
    """Return True if the name is that of a CSV or JSONL file."""
    return path.suffix.lower() in SUFFIXES


def table_items(path: Path, base: Path, group: str | None = None) -> list[Item]:
    """Return the images of a table, sorted by path; paths in it are relative to the table's folder.

    An empty `split` means `train`. Raises `DataError` with the line number for a missing column, an empty value, too
    many values, an unknown split, a path listed twice, or text that is not a valid name.

    group: an additional column to read, if the table has it.
    """
    items: dict[str, Item] = {}
    try:
        for line, row in _rows(path):
            file, label, split = _checked(row, path, line)
            file = absolute(file, path.parent)
            if file in items:
                raise DataError(
                    f"{path.name}:{line}: {row['path']!r} is listed twice, with the labels {items[file].label!r} and "
                    f"{label!r}",
                    "keep one of the rows: an image has one label and one split",
                )
            items[file] = Item(file, relative(file, base), label, split, group=_text(row, group, path, line))
    except (csv.Error, OSError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    if not items:
        raise DataError(f"{path.name} lists no images", "expected the columns path,label and one row per image")
    return sorted(items.values(), key=lambda item: item.name)


def column_values(path: Path, base: Path, names: Sequence[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Return the columns of a table, and the values of `names` by path relative to `base`.

    A missing value is "". Raises `DataError` if the table cannot be read.
    """
    columns: dict[str, None] = {}
    values = {}
    try:
        for line, row in _rows(path):
            columns |= dict.fromkeys(row)
            file = absolute(_checked(row, path, line)[0], path.parent)
            values[relative(file, base)] = {name: _text(row, name, path, line) for name in names}
    except (csv.Error, OSError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    return list(columns), values


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number and values of each row."""
    # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column's name.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            yield from _json_rows(path, file)
            return
        reader = csv.DictReader(file, strict=True)
        columns = tuple(reader.fieldnames or ())
        if not {"path", "label"} <= set(columns) or any(columns.count(name) > 1 for name in COLUMNS):
            raise DataError(
                f"{path.name} has the columns {', '.join(columns) or '(none)'}; expected path, label and optionally "
                "split, each once",
                "save it as UTF-8, with columns separated by commas and their names in the first line",
            )
        for row in reader:
            if any(row.pop(None, ())):  # the key under which DictReader stores surplus values
                raise DataError(
                    f"{path.name}:{reader.line_num}: more values than the {len(columns)} columns",
                    'put a value that contains a comma in double quotes: "a, b.jpg"',
                )
            yield reader.line_num, row


def _json_rows(path: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
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


def _checked(row: dict[str, Any], path: Path, line: int) -> tuple[str, str, str]:
    """Return path, label and split of a row. Raises `DataError` if one of them is invalid."""
    values = []
    for column in COLUMNS:
        value = row.get(column)
        value = "" if value is None else str(value) if type(value) is int else value
        if not isinstance(value, str) or (not value.strip() and column != "split"):
            raise DataError(f"{path.name}:{line}: {column} must be text, received {row.get(column)!r}")
        _check_encodable(value, column, path, line)
        values.append(value)
    split = SPLIT_NAMES.get(values[2].strip().lower() or "train")
    if split is None:
        raise DataError(f"{path.name}:{line}: split {values[2]!r} is not one of train, validation, test or empty")
    return values[0], normalised_label(values[1]), split


def _text(row: dict[str, Any], column: str | None, path: Path, line: int) -> str:
    """Return the value of an additional column as text; "" if it is missing."""
    value = row.get(column) if column else None
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise DataError(f"{path.name}:{line}: {column} must be text or a number, received {value!r}")
    return str(value).strip()


def _check_encodable(value: str, column: str, path: Path, line: int) -> None:
    """Raise `DataError` for a class name that is not Unicode, or a NUL; a path may hold any other bytes."""
    try:
        value.encode("utf-8", "surrogateescape" if column == "path" else "strict")
    except UnicodeEncodeError as error:
        raise DataError(f"{path.name}:{line}: {column} {value!r} is not valid Unicode") from error
    if "\0" in value:
        raise DataError(f"{path.name}:{line}: {column} {value!r} holds a NUL character")
