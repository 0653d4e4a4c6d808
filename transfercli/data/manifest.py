"""CSV files of a run and an experiment: dataset.csv, pixels.csv, and splits.csv with the split of every image.

File names are bytes: Python represents bytes that are not UTF-8 as lone surrogates (PEP 383), and `surrogateescape`
writes them back unchanged. Every name survives the round trip, quotes and newlines included (RFC 4180); NUL cannot
occur in a name. Values are not escaped for spreadsheets, because programs read these files and an added apostrophe
would change a path. Reports for people do their own escaping.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from transfercli.data.dataset import Dataset, Record
from transfercli.data.sources.labels import names_of_stored
from transfercli.data.splitting.assignments import Assignments
from transfercli.errors import ArtefactError, SplitsChangedError
from transfercli.io.atomic import write_text
from transfercli.text import shortened

COLUMNS = ("path", "sha256", "label", "split", "width", "height", "problem")
GROUPED_COLUMNS = (*COLUMNS, "group")  # if an image has a group
PIXEL_COLUMNS = ("sha256", "pixels")
ASSIGNMENT_COLUMNS = ("pixels", "split")
SHA256 = re.compile("[0-9a-f]{64}")


def _text(columns: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    """Return CSV text with a header line."""
    return "".join(",".join(map(_cell, row)) + "\n" for row in (columns, *rows))


def _cell(value: object) -> str:
    """Return a value quoted by RFC 4180; `csv.writer` before Python 3.13 does not quote a lone carriage return."""
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(character in text for character in '",\r\n') else text


def _rows(path: Path, columns: tuple[str, ...], *others: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, as `_lines` does, by column."""
    lines = _lines(path, columns, *others)
    names = next(lines)
    return (dict(zip(names, row, strict=True)) for row in lines)


def _lines(path: Path, columns: tuple[str, ...], *others: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield the header and the rows of a CSV file.

    Raises `ArtefactError` if it is missing, damaged or has other columns.

    others: further headers that are allowed.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True)
            names = next(reader, [])
            if tuple(names) not in (columns, *others):
                raise ArtefactError(
                    f"{path.name} has the columns {','.join(names) or '(none)'}; expected {','.join(columns)}"
                )
            yield names
            for row in filter(None, reader):
                if len(row) != len(names):
                    raise ArtefactError(
                        f"{path.name} is damaged near line {reader.line_num}: a row has too few or too many values"
                    )
                yield row
    except FileNotFoundError as error:
        raise ArtefactError(f"{path.name} is missing in {path.parent.name}") from error
    except csv.Error as error:
        raise ArtefactError(f"{path.name} is damaged: {error}") from error
    except OSError as error:
        raise ArtefactError(
            f"{path.name} in {path.parent.name} cannot be read: {error.strerror}", "restore the file or its permissions"
        ) from error


def write_manifest(path: Path, records: Iterable[Record]) -> None:
    """Write dataset.csv atomically; it has a column `group` if an image has a group."""
    records = list(records)
    columns = GROUPED_COLUMNS if any(record.group for record in records) else COLUMNS
    write_text(path, _text(columns, ([getattr(record, column) for column in columns] for record in records)))


def read_manifest(path: Path, labels: Iterable[str] = ()) -> list[Record]:
    """Read dataset.csv, with normalised class names. Raises `ArtefactError` if it is missing or damaged.

    labels: stored classes of the run, which may be more than those of its images.
    """
    rows = list(_rows(path, COLUMNS, GROUPED_COLUMNS))
    names = names_of_stored([*labels, *(row["label"] for row in rows)])
    records = []
    for row in rows:
        try:
            size = int(row["width"]), int(row["height"])
        except ValueError as error:
            raise ArtefactError(f"{path.name} is damaged: a width or height is not a number") from error
        about = (row["path"], row["sha256"], names[row["label"]], row["split"])
        records.append(Record(*about, *size, row["problem"], row.get("group", "")))
    return records


def write_pixels(path: Path, pixels: Mapping[str, str]) -> None:
    """Write pixels.csv: SHA-256 of each file and of its pixels, which several files may share."""
    write_text(path, _text(PIXEL_COLUMNS, sorted(pixels.items())))


def read_pixels(path: Path) -> dict[str, str]:
    """Read pixels.csv; empty if an older run has none. Raises `ArtefactError` if it is damaged."""
    if not path.exists():
        return {}
    rows = _lines(path, PIXEL_COLUMNS)
    next(rows)
    pixels = dict(rows)  # two values a row: `_lines` has checked them
    for value in chain.from_iterable(pixels.items()):
        if not SHA256.fullmatch(value):
            reason = f"{shortened(value, 70)!r} is not a SHA-256 of 64 hexadecimal digits"
            raise ArtefactError(f"{path.name} in {path.parent.name} is damaged: {reason}", "restore it")
    return pixels


def write_assignments(path: Path, assignments: Assignments) -> None:
    """Write splits.csv sorted by pixel hash, so that equal assignments give equal bytes."""
    write_text(path, _text(ASSIGNMENT_COLUMNS, assignments.rows()))


def update_assignments(path: Path, dataset: Dataset) -> None:
    """Write splits.csv with the assignments of a data set, and with those that were added since the data was read.

    Raises `SplitsChangedError` if one of these contradicts the data set. The lock of the shared files must be held.
    """
    current, assignments = read_assignments(path), dataset.assignments
    if current != dataset.earlier:
        if current.contradicts(assignments):
            raise SplitsChangedError(
                "another process assigned the same images to other splits while these were read",
                "start the same command again",
            )
        assignments = Assignments.of({*current.rows(), *assignments.rows()})
    if assignments != current or not path.exists():
        write_assignments(path, assignments)


def read_assignments(path: Path) -> Assignments:
    """Read splits.csv; no assignments if it is missing. Raises `ArtefactError` if it is damaged."""
    if not path.exists():
        return Assignments()
    try:
        return Assignments.of((row["pixels"], row["split"]) for row in _rows(path, ASSIGNMENT_COLUMNS))
    except ValueError as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "restore it") from error
