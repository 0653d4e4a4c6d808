"""Finding images by a CSV or JSONL file with the columns path, label and, if there is one, split."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from transfercli.data.sources.folders import SIDE_FOLDERS, Item, absolute, relative
from transfercli.errors import DataError

SUFFIXES = (".csv", ".jsonl")
COLUMNS = ("path", "label", "split")


def is_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def table_items(path: Path, base: Path, group: str | None = None) -> list[Item]:
    """The rows of a table, sorted by path; paths in it are relative to the table's folder.

    group: a further column to be read, where the table has it.
    An empty `split` means `train`. Raises DataError with the line for a missing column, an empty value, a value too
    many, an unknown split, a path listed twice, or text that cannot be a name.
    """
    items: dict[str, Item] = {}
    try:
        for line, row in _rows(path):
            file, label, side = _checked(row, path, line)
            file = absolute(file, path.parent)
            if file in items:
                raise DataError(
                    f"{path.name}:{line}: {row['path']!r} is listed twice, with the labels {items[file].label!r} and "
                    f"{label!r}",
                    "keep one of the rows: an image has one label and one side",
                )
            items[file] = Item(file, relative(file, base), label, side, group=_text(row, group, path, line))
    except (csv.Error, OSError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    if not items:
        raise DataError(f"{path.name} lists no images", "expected the columns path,label and one row an image")
    return sorted(items.values(), key=lambda item: item.name)


def column_values(path: Path, base: Path, names: Sequence[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """The columns that a table has, and for each image, by its path relative to `base`, those of `names`.

    A value that is missing is "". Raises DataError where the table cannot be read.
    """
    columns: dict[str, None] = {}
    found = {}
    try:
        for line, row in _rows(path):
            columns |= dict.fromkeys(row)
            file = absolute(_checked(row, path, line)[0], path.parent)
            found[relative(file, base)] = {name: _text(row, name, path, line) for name in names}
    except (csv.Error, OSError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    return list(columns), found


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # utf-8-sig: spreadsheets put a byte order mark first, which would become a part of the first column's name.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            yield from _json_rows(path, file)
            return
        reader = csv.DictReader(file, strict=True)
        columns = tuple(reader.fieldnames or ())
        if not {"path", "label"} <= set(columns) or any(columns.count(name) > 1 for name in COLUMNS):
            raise DataError(
                f"{path.name} has the columns {', '.join(columns) or '(none)'}; expected path, label and perhaps "
                "split, each once",
                "save it as UTF-8, with its columns separated by commas and their names in the first line",
            )
        for row in reader:
            if any(row.pop(None, ())):  # where DictReader puts what has no column
                raise DataError(
                    f"{path.name}:{reader.line_num}: more values than the {len(columns)} columns",
                    'put a value that holds a comma into double quotes: "a, b.jpg"',
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
    values = []
    for column in COLUMNS:
        value = row.get(column)
        value = "" if value is None else str(value) if type(value) is int else value
        if not isinstance(value, str) or (not value and column != "split"):
            raise DataError(f"{path.name}:{line}: {column} must be text, received {row.get(column)!r}")
        _encodable(value, column, path, line)
        values.append(value)
    side = SIDE_FOLDERS.get(values[2].strip().lower() or "train")
    if side is None:
        raise DataError(f"{path.name}:{line}: split {values[2]!r} is not one of train, validation, test or empty")
    return values[0], values[1], side


def _text(row: dict[str, Any], column: str | None, path: Path, line: int) -> str:
    value = row.get(column) if column else None
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise DataError(f"{path.name}:{line}: {column} must be text or a number, received {value!r}")
    return str(value).strip()


def _encodable(value: str, column: str, path: Path, line: int) -> None:
    """File names may hold any bytes but NUL (surrogates stand for them); a class name must be Unicode."""
    try:
        value.encode("utf-8", "surrogateescape" if column == "path" else "strict")
    except UnicodeEncodeError as error:
        raise DataError(f"{path.name}:{line}: {column} {value!r} is not valid Unicode") from error
    if "\0" in value:
        raise DataError(f"{path.name}:{line}: {column} {value!r} holds a NUL character")
