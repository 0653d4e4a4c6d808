"""What the workflows tell the world while they work; `cli/ui/console.py` shows it, tests record it.

Nothing below `cli/` knows whether a terminal exists. Every long loop calls `progress`, which is also the place
where a request to stop is honoured: an implementation may raise `Interrupted` there, and only there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transfercli.errors import Interrupted


class Reporter:
    """The silent listener; the base of all others."""

    def info(self, text: str) -> None:
        """One line worth reading once."""

    def debug(self, text: str) -> None:
        """One line for `--verbose` and for the log."""

    def warning(self, text: str) -> None:
        """One line that a person should act on."""

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        """`done` of `total` units of a stage (0: nobody knows); called from the main thread only, often."""

    def epoch(self, record: dict[str, Any], total: int) -> None:
        """A finished epoch: its line of `metrics.jsonl`, and how many epochs there will be."""

    def when_forced(self, tell: Callable[[int], Interrupted]) -> None:
        """What to note and tell where a request to stop cannot wait for the next `progress`: a step may take minutes.

        `tell` gets the signal's number, and is called from another thread right before the process ends.
        """

    def attach_log(self, path: Path) -> None:
        """From now on, and for all that was said before, keep a copy in this file."""


class Forwarding(Reporter):
    """A reporter that passes everything on to another; subclasses change what they need to."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter

    def info(self, text: str) -> None:
        self.reporter.info(text)

    def debug(self, text: str) -> None:
        self.reporter.debug(text)

    def warning(self, text: str) -> None:
        self.reporter.warning(text)

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.reporter.progress(stage, done, total, unit)

    def epoch(self, record: dict[str, Any], total: int) -> None:
        self.reporter.epoch(record, total)

    def when_forced(self, tell: Callable[[int], Interrupted]) -> None:
        self.reporter.when_forced(tell)

    def attach_log(self, path: Path) -> None:
        self.reporter.attach_log(path)
