"""Warnings of Python and its libraries, counted while a command works and reported once at its end."""

from __future__ import annotations

import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from transfercli.redaction import hide_paths
from transfercli.reporting import Reporter
from transfercli.text import shortened

SHOWN = 5  # warnings of different texts
LENGTH = 200  # characters of one text
NUMBERS = re.compile(r"\d+")


@contextmanager
def counted_warnings(reporter: Reporter, *, verbose: bool) -> Iterator[None]:
    """Collect the warnings of the block; at its end report each text once, with the number of times.

    Python would print each with the path of a library's file and a line of its code, in the middle of a progress bar.
    Warnings that differ in numbers only, such as the size of an image, count as one. Those meant for programmers are
    reported if `verbose`. With `-W error` or `PYTHONWARNINGS=error` warnings are errors as ever.
    """
    seen: dict[tuple[str, str], str] = {}
    counts: Counter[tuple[str, str]] = Counter()

    def count(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = " ".join(str(message).split())
        key = category.__name__, NUMBERS.sub("#", text)
        seen.setdefault(key, text)
        counts[key] += 1

    with warnings.catch_warnings():
        _show_all(verbose)
        warnings.showwarning = count
        try:
            yield
        finally:
            for key, times in counts.most_common(SHOWN):
                number = f" ({times} times)" if times > 1 else ""
                reporter.warning(f"{key[0]}: {shortened(hide_paths(seen[key]), LENGTH)}{number}")
            if len(counts) > SHOWN:
                reporter.warning(f"{len(counts) - SHOWN} more kinds of warnings from libraries")


def _show_all(verbose: bool) -> None:
    """Let every warning be counted, except those for programmers; options of the interpreter are left as they are."""
    if sys.warnoptions:
        return
    warnings.simplefilter("always")
    for category in () if verbose else PROGRAMMERS:
        warnings.filterwarnings("ignore", category=category)


PROGRAMMERS: tuple[Any, ...] = (
    DeprecationWarning,
    PendingDeprecationWarning,
    ImportWarning,
    ResourceWarning,
    FutureWarning,
)
