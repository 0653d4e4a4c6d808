"""Names of the rows of tables that a config selects from."""

from __future__ import annotations

import pytest

from transfercli.config.registries import TABLES, names, rows


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_rows_with_unique_names_in_the_order_of_the_table(table: str) -> None:
    assert len(names(table)) > 1
    assert names(table) == tuple(dict.fromkeys(rows(table)))


def test_names_of_the_contracts_example_are_rows() -> None:
    assert "adamw" in names("optimizer")
    assert "cosine" in names("schedule")
    assert names("format")[0] == "saved_model"
