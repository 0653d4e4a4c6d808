"""Tables of runs: the columns that a person chose, and what stands in their cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from transfercli.config.differing_keys import differing_keys, is_secondary, public_text, short_names
from transfercli.errors import UsageError
from transfercli.runs.untrusted import is_number
from transfercli.text import duration
from transfercli.workflows.runs.run_fields import FACTS, Field, find_field, metric_name
from transfercli.workflows.ui.run_index import DAMAGE, IndexedRun

PER_PAGE = 100
MOST_COLUMNS = 16
MOST_KEYS = 6  # columns of config keys that are shown unasked
ALWAYS = ("run", "experiment", "status", "links")  # have a place in each row
OFFERED_FACTS = ("created", "time", "workflow", "parent", "failure", "sweep", "trial", "folds", "seeds")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table. name: as in an address; title: as it stands above it; is_number: True for numbers."""

    name: str
    title: str
    field: Field
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of the table. best: True for the best of all listed runs. cells: one text a column, "" without a value."""

    run: IndexedRun
    cells: tuple[str, ...]
    best: bool = False

    @property
    def label(self) -> str:
        return self.run.label


def columns_of(names: Sequence[str], runs: Sequence[IndexedRun], shown: Sequence[IndexedRun]) -> list[Column]:
    """Return the columns of the names, or those that suit the runs if there are none.

    shown: those of this page of the table; the config keys in which they differ are offered.
    Raises `UsageError` for a name that means nothing.
    """
    if not names:
        keys = differing_names(shown) if len({run.row.experiment for run in shown}) == 1 else {}
        names = ("created", *_headlines(runs), *list(keys)[:MOST_KEYS], "time")
    fields = {name: find_field(name, shown, "column") for name in dict.fromkeys(names) if name not in ALWAYS}
    if len(fields) > MOST_COLUMNS:
        raise UsageError(f"a table has at most {MOST_COLUMNS} columns; received {len(fields)}", "choose fewer")
    return [Column(name, _title(name, field), field, _has_numbers(field, shown)) for name, field in fields.items()]


def _has_numbers(field: Field, runs: Sequence[IndexedRun]) -> bool:
    """Return True for a metric, and for another field that is a number wherever a run has one."""
    if field.kind == "metric":
        return True
    values = list[object]()
    for run in runs:
        with suppress(*DAMAGE):
            values.append(field.of(run))
    given = [value for value in values if value is not None]
    return bool(given) and all(map(is_number, given))


def rows_of(runs: Sequence[IndexedRun], columns: Sequence[Column], best: IndexedRun | None) -> list[TableRow]:
    """Return the rows of runs; a value that cannot be read is an empty cell."""
    return [TableRow(run, tuple(cell(run, column) for column in columns), run is best) for run in runs]


def cell(run: IndexedRun, column: Column) -> str:
    """Return the value of a run as text."""
    try:
        value = column.field.of(run)
        return "" if value is None else cell_text(value, column)
    except DAMAGE:
        return ""


def cell_text(value: Any, column: Column) -> str:
    """Return a value as text."""
    if column.field.kind == "metric" and is_number(value):
        return f"{value:.4f}"
    if column.name == "time" and is_number(value):
        return duration(value)
    if column.name == "created":
        return str(value)[:16].replace("T", " ")
    return public_text(value)


def differing_names(runs: Sequence[IndexedRun]) -> dict[str, str]:
    """Return the short name of each config key with an effect on the model in which runs differ, by its whole name."""
    configs: list[Mapping[str, Any]] = [run.config for run in runs if run.config is not None]
    keys = [key for key in differing_keys(configs) if not is_secondary(key)]
    return short_names(keys, keys)


def offered(runs: Sequence[IndexedRun], shown: Sequence[IndexedRun]) -> dict[str, list[str]]:
    """Return the columns to choose from, by kind."""
    metrics = dict.fromkeys(name for run in runs for name in run.row.metrics)
    named = [found for name in metrics if (found := metric_name(name if "_" in name else f"train_{name}"))]
    tested = any(run.row.test_accuracy is not None or run.row.test_map is not None for run in runs)
    return {
        "Facts": list(OFFERED_FACTS),
        "Metrics": list(dict.fromkeys([*named, *(["test_accuracy"] if tested else [])])),
        "Config keys in which these runs differ": list(differing_names(shown)),
    }


def _headlines(runs: Sequence[IndexedRun]) -> list[str]:
    """Return the metrics to show unasked: the main one of each task that the runs have."""
    names = dict.fromkeys(run.row.headline for run in runs if run.row.metrics) or {"accuracy": None}
    return [f"{split}{name}" for name in names for split in ("val_", "test_")]


def _title(name: str, field: Field) -> str:
    if field.kind == "metric":
        split, _, bare = field.name.partition("_")
        return {"val": bare, "test": f"{bare}, test", "train": f"{bare}, training"}[split].replace("_", " ")
    return name if name in FACTS else field.name.rpartition(".")[2].replace("_", " ")
