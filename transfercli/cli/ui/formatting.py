"""Text from elsewhere (file and class names, messages) made safe for a terminal and a log."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    r"""Control and formatting characters, but for newlines, become `\x1b`-like escapes: nothing moves a cursor."""
    return "".join(c if c == "\n" or unicodedata.category(c) not in _HIDDEN else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shortened(text: str, most: int) -> str:
    """At most so many characters, the last of them "…" where some are left out."""
    return text if len(text) <= most else text[: most - 1] + "…"


def squeezed(text: str, most: int) -> str:
    """At most so many characters, of both ends, with "…" between them: a path keeps its folder and its file's end."""
    if len(text) <= most:
        return text
    head, tail = most // 2, (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - tail :]}"


BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], most: int = 40) -> str:
    """A bar a value, from the lowest to the highest; of more than `most`, as many evenly taken, the last among them."""
    if not values:
        return ""
    steps = max(1, min(most, len(values)) - 1)
    chosen = [values[round(i * (len(values) - 1) / steps)] for i in range(min(most, len(values)))]
    low, span = min(chosen), max(chosen) - min(chosen)
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1)) if span else 0] for value in chosen)


def duration(seconds: float) -> str:
    """`42 s`, `3:05 min` or `2:10 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def byte_size(count: int) -> str:
    """`812 B`, `3.4 MB` or `12.0 GB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
