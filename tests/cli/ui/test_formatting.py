"""Sparklines."""

from __future__ import annotations

import pytest

from transfercli.cli.ui.formatting import sparkline


def test_a_sparkline_goes_from_the_lowest_to_the_highest_value() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert sparkline([]) == ""


@pytest.mark.parametrize("values", [41, 1000])
def test_a_long_sparkline_keeps_its_ends(values: int) -> None:
    drawn = sparkline([float(value) for value in range(values)], most=40)
    assert len(drawn) == 40
    assert (drawn[0], drawn[-1]) == ("▁", "█")
