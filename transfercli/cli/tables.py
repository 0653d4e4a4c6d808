"""Results as short tables for a person; stdout only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from transfercli.cli.text import printable


def print_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """`name  value` lines, aligned."""
    rows = [(name, printable(str(value))) for name, value in pairs if value is not None]
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        first, *more = value.splitlines() or [""]
        print(f"{name:<{width}}  {first}")
        for line in more:
            print(f"{'':<{width}}  {line}")


def print_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Columns as wide as their longest cell; numbers to the right."""
    header = [_cell(name) for name in header]
    table = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(name), *(len(row[i]) for row in table)) if table else len(name) for i, name in enumerate(header)]
    kinds = [all(_is_number(row[i]) for row in table) for i in range(len(header))]
    for row in [list(header), ["-" * width for width in widths], *table]:
        cells = (f"{c:>{w}}" if n else f"{c:<{w}}" for c, w, n in zip(row, widths, kinds, strict=True))
        print("  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else printable(str(value)).replace("\n", "\\n")


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "", 1).replace("-", "", 1).replace(",", "").isdigit()
