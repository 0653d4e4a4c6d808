"""Order of the classes of a scale: named, or by number."""

from __future__ import annotations

import pytest

from transfercli.data.sources.class_order import in_order
from transfercli.errors import ConfigError


def test_classes_whose_names_are_numbers_are_ordered_by_value() -> None:
    assert in_order(["10", "2", "2.5", "-1"], None) == ("-1", "2", "2.5", "10")


def test_a_named_order_is_taken_also_with_spaces_around_a_name() -> None:
    assert in_order(["mild", "none", "severe"], ["none", " mild ", "severe"]) == ("none", "mild", "severe")


@pytest.mark.parametrize(
    "order, text",
    [
        (None, "not all numbers: 'mild', 'none', 'severe'"),
        (["none", "mild"], "without 'severe'"),
        (["none", "mild", "severe", "worst"], "no class is named 'worst'"),
        (["none", "mild", "severe", "mild"], "a class is named twice"),
    ],
)
def test_an_order_of_other_classes_is_an_error_that_names_them(order: list[str] | None, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        in_order(["mild", "none", "severe"], order)
    assert text in raised.value.message
