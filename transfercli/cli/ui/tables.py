"""Tables and sentences of results for a person, on stdout."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transfercli.text import printable, squeezed, wrapped

GAP = "  "
_NUMBER = re.compile(r"-?[0-9,]*\.?[0-9]+(e[-+]?[0-9]+)?")
MIN_WIDTH = 8  # characters of a text that are kept on a narrow terminal
MIN_VALUE = 20  # characters of a line of a value, if the names beside it leave so few


@dataclass(frozen=True, slots=True)
class Column:
    """Column of a table. name: as given by the caller; header: the name in one or more lines."""

    name: str
    header: list[str]
    cells: list[str]

    @property
    def width(self) -> int:
        return max(map(len, (*self.header, *self.cells)), default=0)

    @property
    def is_number(self) -> bool:
        return all(_is_number(cell) for cell in self.cells)

    @property
    def min_width(self) -> int:
        """Smallest width allowed; numbers are never cut."""
        return max(map(len, self.cells), default=0) if self.is_number else min(self.width, MIN_WIDTH)


def print_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print aligned `name  value` lines, on a terminal broken at spaces; a value of None has no line."""
    rows = [(name, printable(str(value))) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in rows), default=0)
    available = terminal_width()
    for name, value in rows:
        if available:
            value = wrapped(value, max(available - width - len(GAP), MIN_VALUE))
        first, *more = value.splitlines() or [""]
        print(f"{name:<{width}}  {first}")
        for line in more:
            print(f"{'':<{width}}  {line}")


def print_text(text: str) -> None:
    """Print sentences, on a terminal broken at spaces."""
    available = terminal_width()
    print(wrapped(text, available) if available else text)


def print_table(header: Sequence[str], rows: Iterable[Sequence[Any]], droppable: Sequence[str] = ()) -> tuple[str, ...]:
    """Print columns as wide as their longest cell, numbers aligned to the right; return the names of those omitted.

    On a terminal that is too narrow, long names of columns are broken into lines; then the columns in `droppable` are
    omitted, one after the other; then the longest texts lose their middle. Numbers are never cut, nor is the first
    column, which names the row and is copied by users.
    """
    columns = [
        Column(name, [_cell(name)], [_cell(value) for value in cells])
        for name, *cells in zip(header, *rows, strict=True)
    ]
    if available := terminal_width():
        columns = _fitted(columns, available, droppable)
    height = max(len(column.header) for column in columns)
    printed = [_lines(column, height) for column in columns]
    for cells in zip(*printed, strict=True):
        print(GAP.join(cells).rstrip())
    printed_names = {column.name for column in columns}
    return tuple(name for name in header if name not in printed_names)


def terminal_width() -> int | None:
    """Return the characters in a line of the terminal; None if stdout is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fitted(columns: list[Column], available: int, droppable: Sequence[str]) -> list[Column]:
    """Return the columns that fit `available` characters per line, as `print_table` describes."""
    if _width(columns) <= available:
        return columns
    columns = [replace(column, header=_words(column.header[0])) if column.is_number else column for column in columns]
    for name in droppable:
        if _width(columns) > available:
            columns = [column for column in columns if column.name != name]
    widths = [column.width for column in columns]
    while sum(widths) + len(GAP) * (len(widths) - 1) > available:
        reducible = [index for index, column in enumerate(columns) if index and widths[index] > column.min_width]
        if not reducible:
            break
        widths[max(reducible, key=widths.__getitem__)] -= 1
    return [_narrowed(column, width) for column, width in zip(columns, widths, strict=True)]


def _words(name: str) -> list[str]:
    """Return the parts of a name that may stand below each other: `val accuracy`, `learning_rate`."""
    return name.replace("_", "_ ").split()


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _narrowed(column: Column, width: int) -> Column:
    header, cells = ([squeezed(text, width) for text in texts] for texts in (column.header, column.cells))
    return replace(column, header=header, cells=cells)


def _lines(column: Column, height: int) -> list[str]:
    """Return the lines of a column, all of one width: its name in `height` lines, a rule, and its cells."""
    padding = [""] * (height - len(column.header))
    alignment, width = ">" if column.is_number else "<", column.width
    return [f"{text:{alignment}{width}}" for text in (*padding, *column.header, "-" * width, *column.cells)]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else printable(str(value)).replace("\n", "\\n")


def _is_number(text: str) -> bool:
    return text == "-" or _NUMBER.fullmatch(text) is not None
