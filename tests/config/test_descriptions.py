"""Allowed values of the schema, in words and as choices."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from transfercli.config.descriptions import allowed, choices_of, hints
from transfercli.config.registries import names
from transfercli.config.schema import DataConfig, ModelConfig, OptimizerConfig


@pytest.mark.parametrize(
    "hint, words",
    [
        (bool, "true or false"),
        (int | None, "a whole number or null"),
        (Annotated[int, Field(ge=1)], "a whole number of at least 1"),
        (Annotated[float, Field(gt=0, lt=1)], "a number above 0 and below 1"),
        (list[Literal["a", "b"]], "a list, each item a, b"),
        (dict[str, float], "a mapping from text to a number"),
    ],
)
def test_a_type_is_described_with_its_bounds(hint: object, words: str) -> None:
    assert allowed(hint) == words


def test_the_choices_of_a_key_are_the_rows_of_its_table() -> None:
    assert choices_of(hints(OptimizerConfig)["name"]) == names("optimizer")
    assert choices_of(hints(DataConfig)["resize"]) == ("stretch", "crop", "pad")
    assert choices_of(hints(DataConfig)["train"]) == ()


def test_the_choices_of_a_union_are_those_of_its_members() -> None:
    assert choices_of(hints(ModelConfig)["weights"]) == ("imagenet", "none")


def test_a_long_table_is_cut_and_the_command_that_lists_it_is_named() -> None:
    text = allowed(hints(ModelConfig)["base"])
    assert len(names("base")) > 12
    assert "(transfercli bases list lists them)" in text
    assert names("base")[0] in text
    assert names("base")[-1] not in text
