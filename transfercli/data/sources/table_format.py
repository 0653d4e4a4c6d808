"""Format of an image table: encoding, separator and the columns that hold path, label, split, group and id."""

from __future__ import annotations

import codecs
import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfercli.config.schema import ColumnsConfig, DataConfig
from transfercli.data.label_sets import UNKNOWN, LabelSet
from transfercli.data.sources.labels import normalised_label
from transfercli.errors import DataError

SEPARATORS = ",;\t"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class TableFormat:
    """Columns of a table.

    Attributes:
        group: column whose images stay in one split, or None.
        template: path of an image with columns in braces, or None if a column holds it.
        labelled: False for a table of unlabelled images, whose columns for label and split are not read.
        separator: text between the labels of an image in the column for labels, or None.
    """

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    group: str | None = None
    template: str | None = None
    labelled: bool = True
    separator: str | None = None

    @classmethod
    def of(cls, config: DataConfig) -> TableFormat:
        """Return the format of a config's tables."""
        columns = config.columns
        return cls(columns, columns.group or config.group, config.path_template, separator=config.label_separator)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that a table must have."""
        names = (self.columns.path,) if self.template is None else ()
        return (*names, *self.label_columns) if self.labelled else names

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The column for labels, or the columns that hold one label each."""
        label = self.columns.label
        return (label,) if isinstance(label, str) else tuple(label)

    def labels_of(self, row: Mapping[str, Any], place: str) -> LabelSet | None:
        """Return the labels of an image that may have several; None if the row holds one.

        Raises `DataError` for a value that is no list of labels; `place` is table and line.
        """
        if not isinstance(self.columns.label, str):
            states = {normalised_label(name): _state(row.get(name), name, place) for name in self.columns.label}
            return LabelSet.of(
                (name for name, state in states.items() if state == 1),
                (name for name, state in states.items() if state == UNKNOWN),
            )
        value = row.get(self.columns.label)
        if self.separator is not None and (value is None or isinstance(value, str)):
            value = (value or "").split(self.separator)
        elif not isinstance(value, list):
            return None
        if not all(isinstance(label, str) for label in value):
            raise DataError(f"{place}: {self.columns.label} must be a list of texts, received {value!r}")
        return LabelSet.of(name for label in value if (name := normalised_label(label)))

    def path_of(self, row: Mapping[str, Any], place: str) -> Any:
        """Return the value of the path column, or the filled template; the keys of `data.columns` are names in it, too.

        Raises `DataError` if the template names a column that is missing or empty; `place` is table and line.
        """
        if self.template is None:
            return row.get(self.columns.path)
        named = {role: getattr(self.columns, role) for role in ("path", "label", "split", "id")}
        roles = {role: row.get(name) for role, name in named.items() if isinstance(name, str)}
        values = {name: value for name, value in {**row, **roles}.items() if value not in (None, "")}
        try:
            return self.template.format_map(values)
        except (KeyError, IndexError, AttributeError, ValueError) as error:
            reason = f"needs a value of {error}" if isinstance(error, KeyError) else f"cannot be filled ({error})"
            raise DataError(
                f"{place}: data.path_template {self.template!r} {reason}; the row has {', '.join(values)}",
                "name a column of the table in braces; {id} is the column data.columns.id",
            ) from error


def _state(value: Any, column: str, place: str) -> int:
    """Return 1, 0 or `UNKNOWN` for the value of a column that holds one label. Raises `DataError` for another value."""
    try:
        number = float(value or 0)
    except (TypeError, ValueError):
        number = math.nan
    if number not in (0, 1, UNKNOWN):
        raise DataError(
            f"{place}: {column} is {value!r}; a column that holds one label has 1, 0, -1 for unknown, or is empty",
            "correct the value, or leave the column out of data.columns.label",
        )
    return int(number)


def encoding_of(path: Path) -> str:
    """Return the encoding of a table: UTF-8, or UTF-16 if it begins with its byte order mark.

    Raises `DataError` for UTF-16 without a mark, and `OSError` if the table cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_UTF16):
        return "utf-16"
    if b"\0" in head[:200]:
        raise DataError(
            f"{path.name} is not UTF-8 text: it has zero bytes, as UTF-16 without a byte order mark or another kind of"
            " file",
            "save it as CSV in UTF-8",
        )
    return "utf-8-sig"  # spreadsheets write a byte order mark, which would become part of the first column's name


def separator_of(header: str, required: Sequence[str]) -> str:
    """Return the separator by which a table's first line has all required columns; a comma if there is none."""
    for separator in SEPARATORS:
        try:
            columns = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
        except csv.Error:
            continue
        if {*required} <= {*columns}:
            return separator
    return ","


def columns_error(path: Path, columns: Sequence[str], first: Mapping[str, Any], table: TableFormat) -> DataError:
    """Return the error for a table without the required columns, with the key that mends it.

    first: the first row of values.
    """
    label = table.columns.label if isinstance(table.columns.label, str) else None
    message = (
        f"{path.name} has the columns {', '.join(columns) or '(none)'}; expected {', '.join(table.required)} and"
        f" optionally {table.columns.split}, each once"
    )
    flags = [
        name for name in columns if name != table.columns.path and str(first.get(name)) in ("0", "1", "0.0", "1.0")
    ]
    if table.labelled and len(flags) > 1 and label and label not in columns:
        return DataError(
            f"{message}; the columns {', '.join(flags)} look like one column for each label",
            f"name them in the config, data.columns: {{label: [{', '.join(flags)}]}}; or, if an image has one label,"
            f" write it into one column {label!r}",
        )
    roles = {"path": table.columns.path} | ({"label": label} if label else {})
    missing = [role for role, name in roles.items() if name in table.required and name not in columns]
    spare = [name for name in columns if name and name not in roles.values()]
    if len(columns) > 1 and len(spare) >= len(missing) > 0:
        named = ", ".join(f"{role}: {name}" for role, name in zip(missing, spare, strict=False))
        return DataError(message, f"name the columns in the config, such as data.columns: {{{named}}}")
    return DataError(message, "save it as UTF-8, with columns separated by commas and their names in the first line")
