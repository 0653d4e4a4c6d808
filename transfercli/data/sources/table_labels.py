"""Labels in the rows of a table: one class per image, or several labels in one value or in a column each."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from transfercli.data.label_sets import UNKNOWN, LabelSet
from transfercli.data.sources.joined_labels import JoinedLabels, find_joined, holding_separator
from transfercli.data.sources.labels import normalised_label, shown
from transfercli.data.sources.table_format import TableFormat, valid_text
from transfercli.errors import DataError
from transfercli.reporting import Reporter
from transfercli.text import counted, first_of

_STATES = {"true": 1, "false": 0} | dict.fromkeys(("na", "n/a", "null", "none", "?"), UNKNOWN)
_EMPTY = {"absent": 0, "unknown": UNKNOWN}
_LISTED = 3
_LARGEST = 3.4e38  # of float32
_STATES_HINT = "allowed: 1 or true, 0 or false, -1 or NaN for unknown, and empty cells; correct the value"


@lru_cache(maxsize=1024, typed=True)
def label_state(value: str | float | None, empty: int = 0) -> int | None:
    """Return 1, 0 or `UNKNOWN` for the value of a column that holds one label; None if it is another value.

    value: text of a table, or a JSON value, of which null is unknown. empty: the state of an empty text.
    """
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        text = value.strip().lower()
        if not text:
            return empty
        if text in _STATES:
            return _STATES[text]
        value = text
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if math.isnan(number):
        return UNKNOWN
    return int(number) if number in (0, 1, UNKNOWN) else None


def is_list(value: Any) -> bool:
    """Return True if a value lists the labels of an image: a list or an object, or the text of a JSON list."""
    if isinstance(value, str):
        try:
            return _is_list_text(value.strip()) and all(isinstance(name, str) for name in _json_list(value, ""))
        except DataError:
            return False
    return isinstance(value, list | dict)


def _is_list_text(text: str) -> bool:
    return text.startswith("[") and text.endswith("]")


class LabelReader:
    """Reader of the labels in a table's rows."""

    def __init__(self, path: Path, table: TableFormat, reporter: Reporter) -> None:
        self.path, self.table, self.reporter = path, table, reporter
        self._forms: defaultdict[str, Counter[str]] = defaultdict(Counter)  # of each name, as they are written
        self._cells: Counter[str] = Counter()  # texts with one label each, or with all labels of an image
        self._without_class = ""  # the error of the first row without a class
        self._states_of = _names_of_columns(path, table)

    def read(self, row: Mapping[str, Any], place: str) -> str:
        """Return the class of a row, or the text of its label set.

        Raises `DataError` for a value that is none; `place` is table and line.
        """
        if self.table.number:
            return _number(row, self.table.label_column(row), place)
        if not self.table.several:
            return self._class(row, place)
        if self._states_of:
            return self._of_columns(row, place).text
        column = self.table.label_column(row)
        value = row.get(column)
        if value is None:
            raise DataError(f"{place}: {column} has no value", _none_hint(self.path))
        if isinstance(value, dict):
            return self._of_object(value, column, place).text
        is_cell = isinstance(value, str) or type(value) is int
        names = self._in_cell(str(value), place) if is_cell else value
        if not isinstance(names, list) or not all(isinstance(name, str) or type(name) is int for name in names):
            raise DataError(f"{place}: {column} must be a list of texts, received {value!r}")
        return LabelSet.of(label for name in names if (label := self._name(name, column, place))).text

    def check(self) -> None:
        """Check all rows that were read; warn of names that are written in several ways.

        Raises `DataError` if values hold several labels and no separator says so, or if an image has no class.
        """
        table = self.table
        if self._without_class:
            raise DataError(self._without_class, self._class_hint())
        if table.several and not self._states_of:
            if table.separator is None:
                self._check_plain(holding_separator(self._cells))
            elif not any(table.separator in cell for cell in self._cells):
                self._check_plain(find_joined(self._cells))
        written = {name: forms for name, forms in self._forms.items() if len(forms) > 1}
        if written:
            first = next(iter(written))
            forms = " and ".join(shown(form, written[first]) for form in sorted(written[first]))
            number = sum(forms[form] for name, forms in written.items() for form in forms if form != name)
            self.reporter.warning(
                f"{self.path.name}: {counted(number, 'value')} with spaces around a label or letters in a decomposed"
                f" Unicode form: {forms} are one label" + (f"; {len(written) - 1} more" if len(written) > 1 else "")
            )

    def _class(self, row: Mapping[str, Any], place: str) -> str:
        column = self.table.label_column(row)
        value = row.get(column)
        if is_list(value):
            raise DataError(
                f"{place}: {column} must be text, received {value!r}",
                "an image has one label; if it may have several, set task: multilabel in the config",
            )
        if isinstance(value, str) and not value.strip():  # the hint of its error needs the labels of all rows
            self._without_class = self._without_class or f"{place}: {column} must be text, received {value!r}"
            label = ""
        else:
            label = self._name(value, column, place)
        self._cells[label] += 1
        return label

    def _class_hint(self) -> str:
        """Return how to mend a table that lacks the class of an image."""
        joined = find_joined(self._cells) or holding_separator(self._cells)
        if joined is None:
            return "give each image a class, or remove the row; if an image may have no label, set task: multilabel"
        names = first_of(joined.names, _LISTED, written=repr)
        return f"{names} look like several labels; if an image may have several labels or none, set {joined.setting}"

    def _of_columns(self, row: Mapping[str, Any], place: str) -> LabelSet:
        """Return the labels of a row with a column for each."""
        states: dict[str, int] = {}
        for column, name in self._states_of.items():
            value = row.get(column, "")  # a JSON object may leave it out
            if value is None and self.path.suffix.lower() == ".csv":
                raise DataError(f"{place}: {column} has no value: the row is too short", _none_hint(self.path))
            states[name] = self._state(value, column, place)
        return _label_set(states)

    def _of_object(self, value: dict[str, Any], column: str, place: str) -> LabelSet:
        """Return the labels of a JSON object such as {"dog": 1, "cat": null}; it lacks those that are not named."""
        states = {
            self._name(name, column, place): self._state(state, f"{column}.{name}", place)
            for name, state in value.items()
        }
        return _label_set({name: state for name, state in states.items() if name})

    def _state(self, value: Any, name: str, place: str) -> int:
        scalar = isinstance(value, str | int | float | None)
        state = label_state(value, _EMPTY[self.table.empty]) if scalar else None
        if state is None:
            raise DataError(f"{place}: {name} is {value!r}, which says neither yes nor no to a label", _STATES_HINT)
        return state

    def _in_cell(self, cell: str, place: str) -> list[Any]:
        """Return the names in the text of a cell, as they are written."""
        text, separator = cell.strip(), self.table.separator
        if _is_list_text(text):
            return _json_list(text, place)
        if text:
            self._cells[text] += 1
        if separator is None:
            return [text]
        if '"' in text and len(separator) == 1 and separator not in '"\r\n':  # quoted names, which may hold it
            try:
                return next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
            except csv.Error:
                pass
        return text.split(separator) if separator.strip() else text.split()

    def _name(self, written: Any, column: str, place: str) -> str:
        """Return the normalised name; "" for an empty one of several. Raises `DataError` if it is no valid text."""
        if self.table.several and isinstance(written, str) and not written.strip():
            return ""
        text = valid_text(written, column, place, "strict")
        if self.table.separator is not None:
            text = text.strip()  # spaces beside a separator are the usual way to write
        name = normalised_label(text)
        self._forms[name][text] += 1
        return name

    def _check_plain(self, joined: JoinedLabels | None) -> None:
        """Raise `DataError` for values that look like several labels each."""
        if joined is None:
            return
        unused = f", and none holds data.label_separator {self.table.separator!r}" if self.table.separator else ""
        raise DataError(
            f"{self.path.name}: {counted(joined.images, 'image')} of {self._cells.total()} with a label look like"
            f" images with several: {first_of(joined.names, _LISTED, written=repr)}{unused}",
            f"set {joined.setting}; if each is one label, set it to a text that no label holds, such as ';;'",
        )


def _names_of_columns(path: Path, table: TableFormat) -> dict[str, str]:
    """Return column -> label, for columns that hold one label each.

    Raises `DataError` if two are of one label, or if a name is no valid text.
    """
    if isinstance(table.columns.label, str):
        return {}
    place = f"the first line of {path.name}"
    names = {
        column: normalised_label(valid_text(column, "the column", place, "strict")) for column in table.columns.label
    }
    twice = [column for column in names if sum(name == names[column] for name in names.values()) > 1]
    if twice or len(names) < len(table.columns.label):
        shown_columns = ", ".join(shown(column, twice) for column in twice) or repr([*table.columns.label])
        raise DataError(
            f"data.columns.label: {shown_columns} are columns of one label in {path.name}", "name each label once"
        )
    return names


def _label_set(states: Mapping[str, int]) -> LabelSet:
    return LabelSet.of(
        (name for name, state in states.items() if state == 1),
        (name for name, state in states.items() if state == UNKNOWN),
    )


def _json_list(text: str, place: str) -> list[Any]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{place}: {text[:80]!r} looks like a list of labels, but is no JSON",
            'write ["a", "b"], or a;b and set data.label_separator: ";"; if it is a label in brackets, write the list'
            f" {json.dumps([text[:80]], ensure_ascii=False)}",
        ) from error
    assert isinstance(names, list)
    return names


def _none_hint(path: Path) -> str:
    if path.suffix.lower() == ".csv":
        return "complete the row; an empty cell, after a separator, is an image without any label"
    return "write [] for an image without any label"


def _number(row: Mapping[str, Any], column: str, place: str) -> str:
    """Return the text of the number in a row. Raises `DataError` if there is none, or if it is not finite."""
    value = row.get(column)
    text = value.strip() if isinstance(value, str) else str(value) if type(value) in (int, float) else ""
    try:
        finite = "_" not in text and abs(float(text)) <= _LARGEST  # Python reads 1_000 as a number
    except ValueError:
        finite = False
    if not finite:
        raise DataError(
            f"{place}: {column} must be a finite number below 3.4e38 (task: regression), received {value!r}",
            "write it with a decimal point, or remove the row; for classes, set task: classify",
        )
    return text
