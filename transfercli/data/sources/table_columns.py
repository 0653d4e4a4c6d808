"""Additional columns of the images' tables, stored with a run so that metrics can be computed per value later."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from transfercli.config.paths import normalised_path
from transfercli.config.schema import DataConfig
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import HELD_OUT, base_folder
from transfercli.data.sources.storage.places import place_of
from transfercli.data.sources.table_format import TableFormat
from transfercli.data.sources.tables import column_values, is_table
from transfercli.errors import ArtefactError, DataError
from transfercli.io import atomic

# Path of an image, as in its record -> {column: value}.
Columns = dict[str, dict[str, str]]


def config_columns(config: DataConfig, names: Sequence[str]) -> Columns:
    """Return the columns `names` of all tables of a config; empty if there are no names.

    Raises `DataError` if a column is in none of the tables.
    """
    if not names:
        return {}
    given = [config.train, *(value for split in HELD_OUT if isinstance(value := getattr(config, split), str))]
    tables = [source for source in given if not is_keras(source) and is_table(normalised_path(source))]
    found = [place_of(source, whole=True) for source in tables]
    return table_columns(found, base_folder(config.train), names, TableFormat.of(config))


def table_columns(tables: Iterable[Path], base: Path, names: Sequence[str], table: TableFormat) -> Columns:
    """Return the columns `names` of tables, by path relative to `base`.

    Raises `DataError` if a column is in none of the tables.
    """
    result: Columns = {}
    known: dict[str, None] = {}
    for path in tables:
        columns, values = column_values(path, base, names, table)
        known |= dict.fromkeys(columns)
        result |= values
    missing = [name for name in names if name not in known or name == table.columns.path]
    if missing:
        present = f"the columns {', '.join(known)}" if known else "no table"
        raise DataError(
            f"evaluation.slices: {', '.join(map(repr, missing))} is not a column of the images' table: the data has"
            f" {present}",
            "name brightness, image_size or a column of the CSV or JSONL file",
        )
    return result


def write_columns(path: Path, columns: Mapping[str, Mapping[str, str]], names: Sequence[str]) -> None:
    """Write `slices.csv`: the path and one column per name."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerow(["path", *names])
            writer.writerows([image, *(values.get(name, "") for name in names)] for image, values in columns.items())

    atomic.write_with(path, write)


def read_columns(path: Path) -> Columns:
    """Read `slices.csv`; empty if it is missing. Raises `ArtefactError` if it is damaged."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return {row.pop("path"): row for row in csv.DictReader(file, strict=True)}
    except FileNotFoundError:
        return {}
    except (OSError, csv.Error, KeyError) as error:
        raise ArtefactError(f"{path.name} in {path.parent.name} is damaged: {error}", "restore the file") from error
