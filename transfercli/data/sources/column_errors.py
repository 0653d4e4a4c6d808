"""Error for a table without the required columns, with the key of the config that mends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transfercli.data.sources.table_format import TableFormat, names_in
from transfercli.data.sources.table_labels import label_state
from transfercli.errors import DataError
from transfercli.text import first_of

_MOST_ODD = 0.1  # of the values of a column that holds one label
_LISTED = 3

Rows = Sequence[tuple[int, Mapping[str, Any]]]


def columns_error(path: Path, columns: Sequence[str], rows: Rows, table: TableFormat) -> DataError:
    """Return the error for a table without the required columns, with the key that mends it.

    rows: line number and values of the first rows.
    """
    message = (
        f"{path.name} has the columns {', '.join(columns) or '(none)'}; expected {', '.join(table.required)} and"
        f" optionally {table.columns.split}, each once"
    )
    mark = next((mark for mark in "|: " if not table.lacking(names_in(columns[0], mark))), None) if columns else None
    if mark:
        return DataError(
            f"{message}; its first line is separated by {mark!r}",
            "save it with columns separated by commas, semicolons or tabs",
        )
    path_missing = table.template is None and table.columns.path not in columns
    spare = [name for name in columns if name and name not in table.required]
    flags = label_columns(columns, rows, table)
    if table.labelled and isinstance(table.columns.label, str) and len(flags) > 1:
        other = next((name for name in spare if name not in flags), "")
        place = f"path: {other}, " if path_missing and other else ""
        odd = [text for found in flags.values() for text in found]
        but = f", but {first_of(odd, _LISTED)}" if odd else ""
        return DataError(
            f"{message}; the columns {', '.join(flags)} look like one column for each label{but}",
            f"{'correct these values to 1, 0 or -1, then ' if odd else ''}name them in the config,"
            f" data.columns: {{{place}label: [{', '.join(flags)}]}}; or, if an image has one"
            f" label, write it into one column {table.columns.label!r}",
        )
    if table.labelled and not isinstance(table.columns.label, str) and not path_missing:
        missing = [name for name in table.columns.label if name not in columns]
        return DataError(
            f"{message}; it lacks the label{'s' * (len(missing) != 1)} {', '.join(missing) or '(one is there twice)'}",
            "add a column for each, with -1 if nobody knows, or correct data.columns.label",
        )
    missing = table.lacking(columns)
    roles = {table.columns.path: "path"} | dict.fromkeys(table.label_columns if table.labelled else (), "label")
    if len(columns) > 1 and len(spare) >= len(missing) > 0:
        pairs = ", ".join(f"{roles[wanted]}: {name}" for wanted, name in zip(missing, spare, strict=False))
        return DataError(message, f"name the columns in the config, such as data.columns: {{{pairs}}}")
    return DataError(message, "save it as UTF-8, with columns separated by commas and their names in the first line")


def label_columns(names: Sequence[str], rows: Rows, table: TableFormat) -> dict[str, list[str]]:
    """Return the columns that hold one label each, with a short text on each value that is neither yes nor no.

    Nearly all of their values that are not empty are yes, no or unknown.
    """
    named = ("", table.columns.path, table.columns.split, table.columns.id, table.group)
    found = {name: _odd_values(name, rows) for name in names if name not in named}
    return {name: odd for name, odd in found.items() if odd is not None}


def _odd_values(name: str, rows: Rows) -> list[str] | None:
    """Return the values of a label's column that are neither yes nor no; None if the column does not hold a label."""
    filled = [(line, value) for line, row in rows if (value := row.get(name)) not in (None, "")]
    odd = [(line, value) for line, value in filled if not _is_state(value)]
    if len(filled) <= 2 * len(odd) or len(odd) > max(1, _MOST_ODD * len(filled)):
        return None
    return [f"{name} is {value!r} in line {line}" for line, value in odd]


def _is_state(value: Any) -> bool:
    return isinstance(value, str | int | float) and label_state(value) is not None
