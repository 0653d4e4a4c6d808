"""Names of the rows of tables that a config selects from."""

from __future__ import annotations

import pytest

from transfercli.config.registries import TABLES, names, row_name, rows


@pytest.mark.parametrize("table", TABLES)
def test_every_table_has_rows_with_unique_names_in_the_order_of_the_table(table: str) -> None:
    assert len(names(table)) > 1
    assert names(table) == tuple(dict.fromkeys(rows(table)))


def test_names_of_the_contracts_example_are_rows() -> None:
    assert "adamw" in names("optimizer")
    assert "cosine" in names("schedule")
    assert names("format")[0] == "saved_model"


@pytest.mark.parametrize(
    "written, name",
    [
        ("resnet50", "resnet50"),
        ("EfficientNetB0", "efficientnetb0"),
        ("efficientnet_b0", "efficientnetb0"),
        ("convnext_tiny", "convnexttiny"),
        ("resnet-50", "resnet50"),
        ("ResNet 50 V2", "resnet50v2"),
        ("SmallCNN", "small_cnn"),
        ("resnet5", None),
        ("efficientnet", None),
        ("resnet50.h5", None),
        ("", None),
        (".", None),
    ],
)
def test_bases_are_found_as_other_programs_write_them(written: str, name: str | None) -> None:
    assert row_name("base", written) == name


@pytest.mark.parametrize("table", TABLES)
def test_no_two_rows_of_a_table_differ_only_by_capitals_and_punctuation(table: str) -> None:
    assert [row_name(table, name.upper().replace("_", "-")) for name in names(table)] == list(names(table))
