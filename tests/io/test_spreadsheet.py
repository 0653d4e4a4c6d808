"""Cells that a spreadsheet program would compute are text."""

from __future__ import annotations

import csv
import io

import pytest

from transfercli.io.spreadsheet import BYTE_ORDER_MARK, SpreadsheetWriter


def written(*cells: object) -> list[str]:
    file = io.StringIO(newline="")
    SpreadsheetWriter(file).writerow(cells)
    text = file.getvalue()
    assert text.startswith(BYTE_ORDER_MARK)
    (row,) = csv.reader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline=""))
    return row


@pytest.mark.parametrize("cell", ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "=cmd|' /C calc'!A0"])
def test_formulas_get_an_apostrophe(cell: str) -> None:
    assert written(cell) == ["'" + cell]


def test_other_cells_are_as_they_were() -> None:
    assert written("a=b", "café", "", 0.5, -1, None) == ["a=b", "café", "", "0.5", "-1", ""]
