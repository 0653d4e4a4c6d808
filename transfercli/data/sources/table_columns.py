"""Further columns of the images' tables, kept with a run so that its images can be told apart by them later."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from transfercli.config.paths import absolute_path
from transfercli.config.schema import DataConfig
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.listing import HELD_OUT, base_folder
from transfercli.data.sources.tables import column_values, is_table
from transfercli.errors import ArtefactError, DataError
from transfercli.io import atomic

# Path of an image, as its record has it -> {column: value}.
Columns = dict[str, dict[str, str]]


def config_columns(config: DataConfig, names: Sequence[str]) -> Columns:
    """The columns `names` of every table that a config names; empty where nothing is asked for.

    Raises DataError where no table has one of them.
    """
    if not names:
        return {}
    given = [config.train, *(value for side in HELD_OUT if isinstance(value := getattr(config, side), str))]
    tables = [absolute_path(one) for one in given if not is_keras(one)]
    return table_columns([path for path in tables if is_table(path)], base_folder(config.train), names)


def table_columns(tables: Iterable[Path], base: Path, names: Sequence[str]) -> Columns:
    """The columns `names` of tables, by paths relative to `base`. Raises DataError where no table has one of them."""
    found: Columns = {}
    known: dict[str, None] = {}
    for path in tables:
        columns, values = column_values(path, base, names)
        known |= dict.fromkeys(columns)
        found |= values
    missing = [name for name in names if name not in known or name == "path"]
    if missing:
        has = f"the columns {', '.join(known)}" if known else "no table"
        raise DataError(
            f"evaluation.slices: {', '.join(map(repr, missing))} is no column of the images' table: the data has {has}",
            "name brightness, image_size or a column of the CSV or JSONL file",
        )
    return found


def write_columns(path: Path, columns: Mapping[str, Mapping[str, str]], names: Sequence[str]) -> None:
    """Write `slices.csv`: path, and a column a name."""

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerow(["path", *names])
            writer.writerows([image, *(values.get(name, "") for name in names)] for image, values in columns.items())

    atomic.write_with(path, write)


def read_columns(path: Path) -> Columns:
    """Read what `write_columns` wrote; empty where there is none. Raises ArtefactError where it is damaged."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return {row.pop("path"): row for row in csv.DictReader(file, strict=True)}
    except FileNotFoundError:
        return {}
    except (OSError, csv.Error, KeyError) as error:
        raise ArtefactError(f"{path.name} in {path.parent.name} is damaged: {error}", "restore it") from error
