"""Columns of a table of images as people name them, recognised for `config init`."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from transfercli.config.schema import ColumnsConfig
from transfercli.data.sources.column_errors import label_columns
from transfercli.data.sources.joined_labels import find_joined
from transfercli.data.sources.lost_paths import find_template
from transfercli.data.sources.table_format import COLUMN_SEPARATORS, TableFormat, encoding_of
from transfercli.data.sources.tables import table_rows

# Names that other tables give the columns path and label, in lower case, the most telling first.
PATHS = (
    "path",
    "filepath",
    "file_path",
    "image_path",
    "filename",
    "file_name",
    "file",
    "image",
    "img",
    "image_id",
    "id",
)
LABELS = (
    "label",
    "labels",
    "class",
    "class_name",
    "category",
    "breed",
    "species",
    "diagnosis",
    "target",
    "tags",
    "tag",
)
_ROWS = 20_000  # by which the columns are recognised
_LOOKED_FOR = 20  # rows whose files are looked for

Rows = Sequence[dict[str, Any]]


def table_settings(path: Path) -> dict[str, Any]:
    """Return the keys of the section `data` that the columns of a table need; {} if the defaults fit or nothing does.

    They are `columns`, `path_template` and `label_separator`. A path is recognised by a file that it leads to, other
    columns by their names. Raises `DataError` if the table cannot be read.
    """
    numbered = [*islice(table_rows(path, _any_columns(path)), _ROWS)]
    rows = [row for _, row in numbered]
    names = [*dict.fromkeys(name for row in rows for name in row if name)]
    found = _path_of(rows, names, path.parent)
    if found is None:
        return {}
    column, template = found
    columns: dict[str, Any] = {} if column == PATHS[0] else {"path": column}
    others = [name for name in names if name not in (column, "split")]
    label = _label_of(others)
    if label is None:
        flags = label_columns(others, numbered, TableFormat(ColumnsConfig(path=column)))
        columns |= {"label": [*flags]} if len(flags) > 1 and not any(flags.values()) else {}
    elif label not in LABELS[:2]:
        columns["label"] = label
    settings: dict[str, Any] = {"columns": columns} if columns else {}
    settings |= {"path_template": template} if template != "{path}" else {}
    cells = Counter(row[label].strip() for row in rows if isinstance(row.get(label), str)) if label else Counter()
    joined = find_joined(cells)
    return settings | ({"label_separator": joined.separator} if joined else {})


def _any_columns(path: Path) -> TableFormat:
    """Return a format that reads any table: only its first column is required."""
    if path.suffix.lower() == ".jsonl":
        return TableFormat(labelled=False)
    with path.open(encoding=encoding_of(path), errors="replace", newline="") as file:
        header = file.readline()
    lists = [next(csv.reader([header], delimiter=separator), [""]) for separator in COLUMN_SEPARATORS]
    names = [name.strip() for name in max(lists, key=len)]
    return TableFormat(ColumnsConfig(path=next(filter(None, names), "path")), labelled=False)


def _path_of(rows: Rows, names: Sequence[str], base: Path) -> tuple[str, str] | None:
    """Return the column for paths and the template that leads to the files; None if no column does."""
    known = sorted((name for name in names if name.lower() in PATHS), key=lambda name: PATHS.index(name.lower()))
    for name in [*known, *(name for name in names if name not in known)]:
        for row in rows[:_LOOKED_FOR]:
            value = row.get(name)
            if isinstance(value, str | int) and (found := find_template(str(value), "", base)):
                return name, found[0]
    return (known[0], "{path}") if known else None


def _label_of(names: Sequence[str]) -> str | None:
    """Return the column for labels, by its name or because it is the only one."""
    known = sorted((name for name in names if name.lower() in LABELS), key=lambda name: LABELS.index(name.lower()))
    if known:
        return known[0]
    return names[0] if len(names) == 1 else None
