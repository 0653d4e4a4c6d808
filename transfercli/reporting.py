"""Progress, messages and warnings of a running command; `cli/ui/console.py` shows them, tests record them.

Only `cli/` knows if there is a terminal. Every long loop calls `progress`, and a request to stop takes effect only in
this call: a reporter may raise `Interrupted` in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transfercli.errors import Interrupted, TransferError


class Reporter:
    """Receiver of progress and messages; this base class ignores them all."""

    def info(self, text: str) -> None:
        """Report one line of information."""

    def debug(self, text: str) -> None:
        """Report one line for `--verbose` and the log."""

    def warning(self, text: str) -> None:
        """Report one line that a person should act on."""

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        """Report that `done` of `total` units of a step are finished; total is 0 if unknown.

        Called often, and from the main thread only. May raise `Interrupted`.
        """

    def epoch(self, record: dict[str, Any], total: int) -> None:
        """Report a finished epoch: its line of `metrics.jsonl`, and the number of epochs in all."""

    def describe_forced_stop(self, describe: Callable[[int], Interrupted]) -> None:
        """Set the error to log and show if a request to stop cannot wait for the next `progress`.

        A training step may take minutes. `describe` gets the signal's number; another thread calls it right before the
        process ends.
        """

    def stop_signal(self) -> int:
        """Return the number of the signal that asked this process to stop; 0 without one. Any thread may call it."""
        return 0

    def stop(self, error: TransferError) -> None:
        """Make the next `progress` raise `error`. Any thread may call it."""

    def end(self, error: TransferError) -> None:
        """Show an error and end the process now. Any thread may call it, if no `progress` follows a request to stop."""

    def attach_log(self, path: Path) -> None:
        """Copy all lines to this file: those reported so far, and those to come."""

    def detach_log(self) -> None:
        """Keep the lines to come for the next log: those of one run belong in its own."""

    def silence(self) -> None:
        """Show nothing more but errors: another process reports the same work."""

    def part(self, name: str) -> Reporter:
        """Return the reporter of one of several pieces of work that are done at the same time, with a log of its own.

        name: of the work, shown before each of its lines. Close the reporter at the end.
        """
        return self

    def close(self) -> None:
        """Show no more progress of this work."""


class Forwarding(Reporter):
    """Reporter that passes every call on to another; subclasses override what they change."""

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

    def describe_forced_stop(self, describe: Callable[[int], Interrupted]) -> None:
        self.reporter.describe_forced_stop(describe)

    def stop_signal(self) -> int:
        return self.reporter.stop_signal()

    def stop(self, error: TransferError) -> None:
        self.reporter.stop(error)

    def end(self, error: TransferError) -> None:
        self.reporter.end(error)

    def attach_log(self, path: Path) -> None:
        self.reporter.attach_log(path)

    def detach_log(self) -> None:
        self.reporter.detach_log()

    def silence(self) -> None:
        self.reporter.silence()

    def part(self, name: str) -> Reporter:
        return self.reporter.part(name)
