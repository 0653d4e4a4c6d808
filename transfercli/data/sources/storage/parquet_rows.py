"""Rows of Parquet files: an image in one column, and its label, split and group in others, as in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transfercli.data.archive_members import parquet_member
from transfercli.data.sources.table_format import TableFormat
from transfercli.errors import DataError
from transfercli.io.parquet_cells import ParquetError, ParquetIndex, index_of, rows_of
from transfercli.text import first_of

IMAGE, PATH = "image", "path"  # the usual column, and the default of data.columns.path, which no such file has
_LISTED = 5


def parquet_samples(file: Path, table: TableFormat) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, place for messages, and values of each image. Raises `DataError` if a column is missing."""
    try:
        index = index_of(str(file))
        column = _image_column(file, index, table)
        for number, row in enumerate(rows_of(str(file), _columns(file, index, table))):
            place = f"{file.name}, row {number}"
            yield parquet_member(str(file), column, number), place, _with_names(row, index.classes, place)
    except ParquetError as error:
        raise DataError(f"{file.name} cannot be read: {error}", error.hint or None) from None
    except OSError as error:
        raise DataError(f"{file.name} cannot be read: {error.strerror or error}") from error


def _image_column(file: Path, index: ParquetIndex, table: TableFormat) -> str:
    """Return the column that holds the images: `data.columns.path`, or `image`, or the only one with bytes."""
    given, found = table.columns.path, [*index.images]
    has = f"{file.name} has the columns {first_of(index.columns, _LISTED)}"
    if given != PATH and given not in found:
        raise DataError(f"data.columns.path: {given!r} is no column of images: {has}", _columns_hint(found))
    column = given if given != PATH else IMAGE if IMAGE in found or len(found) != 1 else found[0]
    if column not in found:
        raise DataError(f"{has}, and {'several of' if found else 'none of'} them with images", _columns_hint(found))
    if column in ("", ".", "..") or "/" in column or "\0" in column:
        raise DataError(f"{file.name} has its images in a column named {column!r}", "rename the column to image")
    return column


def _columns_hint(found: Sequence[str]) -> str:
    if found:
        return f"set data.columns.path to the column of the images: {first_of(found, _LISTED)}"
    return (
        "images are read from a binary column, or a struct with the field bytes, as Hugging Face's datasets write them;"
        " save a table of paths as CSV in UTF-8"
    )


def _columns(file: Path, index: ParquetIndex, table: TableFormat) -> list[str]:
    """Return the columns to read besides the images. Raises `DataError` if there is none for labels."""
    if not table.labelled:
        return []
    label = table.label_column(index.columns)
    if label not in index.columns:
        raise DataError(
            f"{file.name} has no column {label!r} for labels: it has {first_of(index.columns, _LISTED)}",
            "set data.columns.label to the one with the labels",
        )
    wanted = dict.fromkeys((label, table.columns.split, table.group or ""))
    return [name for name in wanted if name in index.columns]


def _with_names(row: dict[str, Any], classes: Mapping[str, Sequence[str]], place: str) -> dict[str, Any]:
    """Return a row with the names of classes instead of their numbers. Raises `DataError` for an unknown number."""
    return {name: _named(value, classes[name], place) if name in classes else value for name, value in row.items()}


def _named(value: Any, names: Sequence[str], place: str) -> Any:
    if isinstance(value, list):
        return [_named(one, names, place) for one in value]
    if type(value) is not int:
        return value
    if not 0 <= value < len(names):
        raise DataError(
            f"{place}: the label {value} is none of the {len(names)} classes of its metadata"
            + ("; -1 stands for no label" if value == -1 else ""),
            "leave out such rows, or correct them",
        )
    return names[value]
