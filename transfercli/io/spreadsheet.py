"""CSV for spreadsheet programs, which guess the encoding of a file and compute cells that look like formulas."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any, TextIO

BYTE_ORDER_MARK = "\ufeff"  # by which these programs recognise UTF-8
# First characters of a cell that is computed, also in full width; OWASP, "CSV Injection".
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class SpreadsheetWriter:
    """Writer of rows; text that would be computed gets an apostrophe in front.

    file: a text file in UTF-8. marked: it begins here, with a byte order mark.
    """

    def __init__(self, file: TextIO, *, marked: bool = True) -> None:
        if marked:
            file.write(BYTE_ORDER_MARK)
        self._writer = csv.writer(file)  # lines end with CR LF (RFC 4180), so that both are quoted in a cell

    def writerow(self, row: Sequence[Any]) -> None:
        self._writer.writerow([_safe(value) for value in row])


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
