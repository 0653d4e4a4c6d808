"""dataset.csv, pixels.csv and splits.csv: what a run saw, and the side of every image ever assigned.

A file name is bytes; Python holds those that are not UTF-8 as lone surrogates (PEP 383), and `surrogateescape` writes
back the very same bytes. So the files are UTF-8 wherever the names are, every name survives the round trip, quotes
and newlines included (RFC 4180), and `NUL` cannot occur in a name. Nothing is escaped for spreadsheets here: these
files are read by programs, and an added apostrophe would be another path. Reports for people escape for themselves.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from transfercli.data.dataset import Record
from transfercli.data.splitting.assignments import Assignments
from transfercli.errors import ArtefactError
from transfercli.io.atomic import write_text

COLUMNS = ("path", "sha256", "label", "split", "width", "height", "problem")
PIXEL_COLUMNS = ("sha256", "pixels")
ASSIGNMENT_COLUMNS = ("pixels", "split")


def _text(columns: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    return "".join(",".join(map(_cell, row)) + "\n" for row in (columns, *rows))


def _cell(value: object) -> str:
    """RFC 4180. `csv.writer` before Python 3.13 leaves a lone carriage return unquoted, and its reader stumbles."""
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in '",\r\n') else text


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != columns:
                raise ArtefactError(
                    f"{path.name} has the columns {','.join(reader.fieldnames or ()) or '(none)'}; "
                    f"expected {','.join(columns)}"
                )
            for row in reader:
                if None in row or None in row.values():
                    raise ArtefactError(f"{path.name} is damaged near line {reader.line_num}: a row of another length")
                yield row
    except FileNotFoundError as error:
        raise ArtefactError(f"{path.name} is missing in {path.parent.name}") from error
    except csv.Error as error:
        raise ArtefactError(f"{path.name} is damaged: {error}") from error
    except OSError as error:
        raise ArtefactError(
            f"{path.name} in {path.parent.name} cannot be read: {error.strerror}", "restore it, or its permissions"
        ) from error


def write_manifest(path: Path, records: Iterable[Record]) -> None:
    """Write dataset.csv, whole or not at all."""
    write_text(path, _text(COLUMNS, ([getattr(record, column) for column in COLUMNS] for record in records)))


def read_manifest(path: Path) -> list[Record]:
    """Read dataset.csv; raises ArtefactError where it is missing or damaged."""
    records = []
    for row in _rows(path, COLUMNS):
        try:
            size = int(row.pop("width")), int(row.pop("height"))
        except ValueError as error:
            raise ArtefactError(f"{path.name} is damaged: a width or height is not a number") from error
        records.append(Record(**row, width=size[0], height=size[1]))
    return records


def write_pixels(path: Path, pixels: Mapping[str, str]) -> None:
    """Write pixels.csv: by the SHA-256 of each file, that of its pixels, which another file may have, too."""
    write_text(path, _text(PIXEL_COLUMNS, sorted(pixels.items())))


def read_pixels(path: Path) -> dict[str, str]:
    """Read pixels.csv; empty where a run was begun before there was one. Raises ArtefactError where it is damaged."""
    return {row["sha256"]: row["pixels"] for row in _rows(path, PIXEL_COLUMNS)} if path.exists() else {}


def write_assignments(path: Path, assignments: Assignments) -> None:
    """Write splits.csv in the order of the hashes, a row a place, so that equal contents are equal bytes."""
    write_text(path, _text(ASSIGNMENT_COLUMNS, assignments.rows()))


def read_assignments(path: Path) -> Assignments:
    """Read splits.csv; a missing file means that nothing was assigned yet. Raises ArtefactError where it is damaged."""
    if not path.exists():
        return Assignments()
    try:
        return Assignments.of((row["pixels"], row["split"]) for row in _rows(path, ASSIGNMENT_COLUMNS))
    except ValueError as error:
        raise ArtefactError(f"{path.name} is damaged: {error}", "restore it") from error
