"""The index of the cache."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.pixels import all_pixels
from transfercli.config.schema import ComputeConfig
from transfercli.data.cache.index import INDEX, Index
from transfercli.data.dataset import Dataset

Load = Callable[..., Dataset]


TWO = {"cat": 12, "dog": 12}


def test_tables_of_an_older_program_that_shares_the_cache_stay(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / INDEX) as older:
        for table in ("files", "heads"):
            older.execute(f"CREATE TABLE {table} (path BLOB)")
    Index(tmp_path).close()
    for table in ("files", "heads"):
        older.execute(f"INSERT INTO {table} VALUES ('a')")
    older.close()


def test_an_index_that_fails_costs_the_next_run_time_and_this_one_a_warning(
    tmp_path: Path, grow: Any, load: Load, reporter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any) -> None:
        raise sqlite3.OperationalError("database is locked")

    grow(tmp_path / "images", TWO)
    monkeypatch.setattr("transfercli.data.cache.index.Index.add", locked)
    found = load(tmp_path)
    assert "database is locked" in reporter.warnings[0]
    assert all_pixels(found) == all_pixels(load(tmp_path, compute=ComputeConfig(cache="off")))
