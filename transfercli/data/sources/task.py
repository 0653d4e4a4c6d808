"""Task of a config and the columns of its labels, as far as the config leaves them to the table of its images."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from transfercli.config.paths import normalised_path
from transfercli.config.schema import ColumnsConfig, DataConfig, ExperimentConfig
from transfercli.config.types import MULTILABEL
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.storage.places import place_of
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.sources.table_labels import is_list, label_state
from transfercli.data.sources.tables import is_table, table_rows
from transfercli.errors import ConfigError, DataError
from transfercli.text import counted, first_of

_PATTERN = frozenset("*?")
_LISTED = 5


def with_task(config: ExperimentConfig) -> tuple[ExperimentConfig, list[str]]:
    """Return the config with its task and the columns of its labels, and a sentence on each that the table decided.

    A table decides the task if it has lists of labels; or if it has no column for labels, and all its other columns
    hold 1, 0 or -1. Patterns in `data.columns.label` become the columns that match them, and `data.empty_labels` is set
    for columns that hold one label each. A table that cannot be read decides nothing: reading its images reports why.

    Raises `ConfigError` if the config names the task `classify` and its images may have several labels.
    """
    table = _Table.of(config)
    columns, reason = _label_columns(config.data, table)
    if not reason:
        return config, []
    if "task" in config.model_fields_set and config.task != MULTILABEL:
        raise ConfigError(
            f"task: {config.task} is for one class per image, but {reason}",
            "set task: multilabel, or give one label per image",
        )
    known = config.task == MULTILABEL and columns == config.data.columns
    notes = [] if known else [f"task: multilabel, because {reason}"]
    data = config.data.model_copy(update={"columns": columns}) if columns != config.data.columns else config.data
    if isinstance(columns.label, list) and data.empty_labels is None and table is not None:
        empty, note = table.meaning_of_empty(columns.label)
        data = data.model_copy(update={"empty_labels": empty})
        notes += [note] if note else []
    return config.model_copy(update={"task": MULTILABEL, "data": data}), notes


def _label_columns(data: DataConfig, table: _Table | None) -> tuple[ColumnsConfig, str]:
    """Return the columns of the table, and why an image may have several labels; "" if it has one."""
    columns = data.columns
    if isinstance(columns.label, list):
        label = table.matching(columns.label) if table else columns.label
        columns = columns.model_copy(update={"label": label}) if label != columns.label else columns
        return columns, f"data.columns.label stands for {counted(len(label), 'column')}"
    if data.label_separator is not None:
        return columns, f"data.label_separator is {data.label_separator!r}"
    if table is None:
        return columns, ""
    if table.has_lists():
        return columns, f"{table.path.name} has a list of labels for each image"
    label, exclusive = table.flags()
    if label:
        about = f"{table.path.name} has no column {columns.label!r}, and its other columns hold 1, 0 or -1"
        reason = f"{about}: {first_of(label, _LISTED)}"
        if exclusive:
            reason += (
                f"; each image has one of them, and a column {columns.label!r} with its name would make them classes"
            )
        return columns.model_copy(update={"label": label}), reason
    return columns, ""


class _Table:
    """The table of the training images, as far as it can be read.

    own: columns that describe an image otherwise: its path, split, group and those of slices.
    """

    def __init__(self, path: Path, table: TableFormat, own: frozenset[str]) -> None:
        self.path, self.table, self.own = path, table, own

    @classmethod
    def of(cls, config: ExperimentConfig) -> _Table | None:
        """Return the table of a config; None if its images have none, or it is not there."""
        data = config.data
        if is_keras(data.train) or not is_table(path := normalised_path(data.train)):
            return None
        place_of(data.train, whole=True)
        if not path.is_file():
            return None
        table = TableFormat.of(data, MULTILABEL)
        named = [data.columns.path, data.columns.split, data.columns.id, table.group or "", ""]
        named += [name for _, name, _, _ in string.Formatter().parse(table.template or "") if name]
        return cls(path, table, frozenset({*named, *config.evaluation.slices}))

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the values of each row; end at what cannot be read."""
        with suppress(DataError):
            for _, row in table_rows(self.path, replace(self.table, labelled=False)):
                yield row

    def matching(self, names: Sequence[str]) -> list[str]:
        """Return the columns that a list of names and patterns stands for; what matches none stays as it is."""
        if not any(_PATTERN & {*name} for name in names):
            return [*names]
        columns = dict.fromkeys(column for row in self.rows() for column in row)
        found: dict[str, None] = {}
        for name in names:
            literal = name in columns or not _PATTERN & {*name}
            matches = [] if literal else [key for key in columns if key not in self.own and fnmatchcase(key, name)]
            found |= dict.fromkeys(matches or [name])
        return [*found]

    def has_lists(self) -> bool:
        """Return True if the column for labels holds a list in the first row."""
        row: dict[str, Any] = next(self.rows(), {})
        return is_list(row.get(self.table.label_column(row)))

    def flags(self) -> tuple[list[str], bool]:
        """Return the columns besides the image's own, if none is for labels and each holds 1, 0 or -1.

        There are none if one column holds something else, or nothing at all. The second value is True if each image has
        a 1 in exactly one of them.
        """
        filled: dict[str, bool] = {}
        exclusive = True
        for row in self.rows():
            if self.table.label_column(row) in row:
                return [], False
            positive = 0
            for name, value in row.items():
                if name in self.own:
                    continue
                state = label_state(value) if isinstance(value, str | int | float | None) else None
                if state is None:
                    return [], False
                positive += state == 1
                filled[name] = filled.get(name, False) or value not in (None, "")
            exclusive &= positive == 1
        return ([*filled], exclusive) if len(filled) > 1 and all(filled.values()) else ([], False)

    def meaning_of_empty(self, columns: Sequence[str]) -> tuple[Literal["absent", "unknown"], str]:
        """Return the meaning of empty cells in columns that hold one label each, and a sentence on it, or "".

        A table with a 0 somewhere has it for no, so an empty cell is something else.
        """
        values = Counter(str(row.get(name, "")).strip() for row in self.rows() for name in columns)
        zero = next((value for value in values if value and label_state(value) == 0), None)
        cells, file = counted(values[""], "empty cell"), self.path.name
        if zero is not None:
            note = f"data.empty_labels: unknown, because {file} has {zero} for no ({cells})"
            return "unknown", note if values[""] else ""
        return "absent", f"data.empty_labels: absent, because {file} has no 0 ({cells})" if values[""] else ""
