"""Format of an image table: encoding, separator and the columns that hold path, label, split, group and id."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from transfercli.config.paths import cache_of, user_cache
from transfercli.config.schema import ColumnsConfig, DataConfig
from transfercli.config.types import MULTILABEL, REGRESSION, Task
from transfercli.errors import DataError

COLUMN_SEPARATORS = ",;\t"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_HEAD_BYTES = 1 << 16
_LABEL, _OTHER_LABEL = "label", "labels"
_IN_UTF8 = "save it as CSV in UTF-8"


@dataclass(frozen=True)
class TableFormat:
    """Columns of a table.

    Attributes:
        group: column whose images stay in one split, or None.
        template: path of an image with columns in braces, or None if a column holds it.
        labelled: False for a table of unlabelled images, whose columns for label and split are not read.
        separator: text between the labels of an image in the column for labels, or None.
        several: an image may have several labels.
        number: the column for labels holds a number.
        empty: meaning of an empty cell in a column that holds one label.
        cache: folder of the caches, which holds the local copies of images that a table names by an address.
    """

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    group: str | None = None
    template: str | None = None
    labelled: bool = True
    separator: str | None = None
    several: bool = False
    number: bool = False
    empty: Literal["absent", "unknown"] = "absent"
    cache: Path = field(default_factory=user_cache)

    @classmethod
    def of(cls, config: DataConfig, task: Task = "classify") -> TableFormat:
        """Return the format of a config's tables."""
        columns = config.columns
        return cls(
            columns,
            columns.group or config.group,
            config.path_template,
            separator=config.label_separator,
            several=task == MULTILABEL,
            number=task == REGRESSION,
            empty=config.empty_labels or "absent",
            cache=cache_of(config.train),
        )

    @property
    def quantity(self) -> str:
        """Name of the number that each image has; "" if it has classes or labels."""
        return str(self.columns.label) if self.number else ""

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

    def label_column(self, names: Container[str]) -> str:
        """Return the column for labels among the columns `names`: `labels` stands in for `label`, the default."""
        (column,) = self.label_columns
        other = column == _LABEL and column not in names and _OTHER_LABEL in names
        return _OTHER_LABEL if other else column

    def lacking(self, names: Container[str]) -> list[str]:
        """Return the required columns that are not among `names`."""
        required = [*self.required]
        if self.labelled and isinstance(self.columns.label, str):
            required[-1] = self.label_column(names)
        return [name for name in required if name not in names]

    def path_of(self, row: Mapping[str, Any], place: str) -> Any:
        """Return the value of the path column, or the filled template; the keys of `data.columns` are names in it, too.

        Raises `DataError` if the template names a column that is missing or empty; `place` is table and line.
        """
        if self.template is None:
            return row.get(self.columns.path)
        named = {role: getattr(self.columns, role) for role in ("path", "label", "split", "id")}
        roles = {role: row.get(name) for role, name in named.items() if isinstance(name, str)}
        scalars = {name: value for name, value in {**row, **roles}.items() if isinstance(value, str | int | float)}
        values = {name: value for name, value in scalars.items() if value != ""}
        try:
            return self.template.format_map(values)
        except (KeyError, IndexError, AttributeError, ValueError) as error:
            reason = f"needs a value of {error}" if isinstance(error, KeyError) else f"cannot be filled ({error})"
            raise DataError(
                f"{place}: data.path_template {self.template!r} {reason}; the row has {', '.join(values)}",
                "name a column of the table in braces; {id} is the column data.columns.id",
            ) from error


def valid_text(value: Any, column: str, place: str, errors: str = "surrogateescape") -> str:
    """Return a path or label as text.

    Raises `DataError` if it is empty, holds NUL, or cannot be encoded; a path may hold bytes that are not UTF-8.
    """
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not text:
        raise DataError(f"{place}: {column} must be text, received {value!r}")
    try:
        text.encode("utf-8", errors)
    except UnicodeEncodeError as error:
        foreign = any("\udc80" <= character <= "\udcff" for character in text)
        raise DataError(
            f"{place}: {column} {text!r} is not valid Unicode",
            "the table is in another encoding than UTF-8, such as Latin-1 or Windows-1252: save it as CSV in UTF-8"
            if foreign
            else None,
        ) from error
    if "\0" in text:
        raise DataError(f"{place}: {column} {text!r} holds a NUL character")
    return text


def encoding_of(path: Path) -> str:
    """Return the encoding of a table: UTF-8, or UTF-16 if it begins with its byte order mark.

    Raises `DataError` for UTF-16 without a mark, and `OSError` if the table cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head.startswith(_UTF32):  # the mark of UTF-16 is the beginning of one of them
        raise DataError(f"{path.name} is UTF-32 text", _IN_UTF8)
    if head.startswith(_UTF16):
        return "utf-16"
    if b"\0" in head[:200]:
        raise DataError(
            f"{path.name} is not UTF-8 text: it has zero bytes, as UTF-16 without a byte order mark or another kind of"
            " file",
            _IN_UTF8,
        )
    return "utf-8-sig"  # spreadsheets write a byte order mark, which would become part of the first column's name


def separator_of(header: str, table: TableFormat) -> str:
    """Return the separator by which a table's first line has all required columns; a comma if there is none."""
    return next((separator for separator in COLUMN_SEPARATORS if not table.lacking(names_in(header, separator))), ",")


def names_in(header: str, separator: str) -> list[str]:
    """Return the names of columns in the first line of a table, by a separator."""
    try:
        return [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    except csv.Error:
        return []
