"""Format of an image table: encoding, separator and the columns that hold path, label, split, group and id."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfercli.config.schema import ColumnsConfig, DataConfig
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
    """

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    group: str | None = None
    template: str | None = None
    labelled: bool = True

    @classmethod
    def of(cls, config: DataConfig) -> TableFormat:
        """Return the format of a config's tables."""
        return cls(config.columns, config.columns.group or config.group, config.path_template)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that a table must have."""
        names = (self.columns.path,) if self.template is None else ()
        return (*names, self.columns.label) if self.labelled else names

    def path_of(self, row: Mapping[str, Any], place: str) -> Any:
        """Return the value of the path column, or the filled template; the keys of `data.columns` are names in it, too.

        Raises `DataError` if the template names a column that is missing or empty; `place` is table and line.
        """
        if self.template is None:
            return row.get(self.columns.path)
        roles = {role: row.get(getattr(self.columns, role)) for role in ("path", "label", "split", "id")}
        values = {name: value for name, value in {**row, **roles}.items() if value not in (None, "")}
        try:
            return self.template.format_map(values)
        except (KeyError, IndexError, AttributeError, ValueError) as error:
            reason = f"needs a value of {error}" if isinstance(error, KeyError) else f"cannot be filled ({error})"
            raise DataError(
                f"{place}: data.path_template {self.template!r} {reason}; the row has {', '.join(values)}",
                "name a column of the table in braces; {id} is the column data.columns.id",
            ) from error


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
    message = (
        f"{path.name} has the columns {', '.join(columns) or '(none)'}; expected {', '.join(table.required)} and"
        f" optionally {table.columns.split}, each once"
    )
    flags = [
        name for name in columns if name != table.columns.path and str(first.get(name)) in ("0", "1", "0.0", "1.0")
    ]
    if table.labelled and len(flags) > 1 and table.columns.label not in columns:
        return DataError(
            f"{message}; the columns {', '.join(flags)} look like one column per class",
            f"write the name of each image's class into one column {table.columns.label!r}",
        )
    roles = {"path": table.columns.path, "label": table.columns.label}
    missing = [role for role, name in roles.items() if name in table.required and name not in columns]
    spare = [name for name in columns if name and name not in roles.values()]
    if len(columns) > 1 and len(spare) >= len(missing) > 0:
        named = ", ".join(f"{role}: {name}" for role, name in zip(missing, spare, strict=False))
        return DataError(message, f"name the columns in the config, such as data.columns: {{{named}}}")
    return DataError(message, "save it as UTF-8, with columns separated by commas and their names in the first line")
