"""Progress and messages on stderr while a command works, and their copy in the run's log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from transfercli.cli.signals import StopRequest
from transfercli.cli.ui.epoch_line import epoch_parts, line_of
from transfercli.errors import Interrupted, TransferError
from transfercli.io.atomic import append_line
from transfercli.redaction import hide_paths
from transfercli.reporting import Reporter
from transfercli.text import printable, wrapped

WIDE = 100  # characters; a narrower terminal gets a shorter bar, so that its numbers fit
SILENCE_SECONDS = 60.0  # between lines of progress; some CI systems end a job that prints nothing for ten minutes


class Console(Reporter):
    """Reporter that prints plain lines, for logs, pipes and cron.

    clock: monotonic clock in seconds; replaced in tests.
    """

    def __init__(
        self,
        stop: StopRequest,
        quiet: bool = False,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stopping, self.quiet, self.verbose, self.clock = stop, quiet, verbose, clock
        self._printed_at = clock()
        self.log: Path | None = None
        self._unlogged: list[str] = []
        self._epoch_seconds: list[float] = []
        self.warned: set[str] = set()  # by parts of the work
        self.silent = False

    def info(self, text: str) -> None:
        self._report(text, show=not self.quiet)

    def debug(self, text: str) -> None:
        self._report(text, show=self.verbose)

    def warning(self, text: str) -> None:
        self._report(f"warning: {text}", show=not self.silent)

    def silence(self) -> None:
        """Show nothing more but errors; no result either."""
        self.quiet, self.verbose, self.silent = True, False, True

    def error(self, text: str) -> None:
        """Show an error, also if it cannot be written to the log, for example on a full disk."""
        with suppress(TransferError, OSError):
            self._report(text, show=True)

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        self.stopping.check()
        if not self.quiet:
            self.show_progress(stage, done, total, unit)

    def epoch(self, record: dict[str, Any], total: int) -> None:
        """Show one line per epoch, at most as wide as the terminal; the log gets the complete line."""
        left = 0.0
        if 1 <= record["epoch"] <= total:
            self._epoch_seconds.append(record["seconds"])
            left = sum(self._epoch_seconds) / len(self._epoch_seconds) * (total - record["epoch"])
        parts = epoch_parts(record, total, left)
        self.report_epoch(line_of(parts), line_of(parts, self.width()))

    def report_epoch(self, line: str, fitted: str) -> None:
        """Report the line of an epoch. fitted: what the width of the terminal leaves of it."""
        self._report(line, show=not self.quiet, shown=fitted)

    def describe_forced_stop(self, describe: Callable[[int], Interrupted]) -> None:
        self.stopping.describe = describe

    def stop_signal(self) -> int:
        return self.stopping.signum

    def stop(self, error: TransferError) -> None:
        self.stopping.request(error)

    def end(self, error: TransferError) -> None:
        self.stopping.end(error)

    def attach_log(self, path: Path) -> None:
        if self.silent:
            return
        self.log = path
        unlogged, self._unlogged = self._unlogged, []
        for line in unlogged:
            self._append(line)

    def detach_log(self) -> None:
        self.log = None

    def part(self, name: str) -> Reporter:
        return PartConsole(self, name)

    def close(self) -> None:
        """Restore the terminal."""

    # -- display

    def show_progress(self, stage: str, done: int, total: int, unit: str) -> None:
        """Print a line if nothing was printed for `SILENCE_SECONDS`."""
        if self.clock() - self._printed_at >= SILENCE_SECONDS:
            self._report(f"{stage}: {done:,} of {total:,} {unit}" if total else f"{stage}: {done:,} {unit}", show=True)

    def show_part(self, name: str, stage: str, done: int, total: int, unit: str) -> None:
        """Show the progress of one of several pieces of work."""
        self.show_progress(f"{name}, {stage}", done, total, unit)

    def end_part(self, name: str) -> None:
        """Show no more progress of a piece of work."""

    def printed(self) -> None:
        """Note that a line has been printed now."""
        self._printed_at = self.clock()

    def width(self) -> int | None:
        """Return the width of the terminal in characters; None without a terminal, where lines may have any length."""
        return None

    def show_line(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def _report(self, text: str, show: bool, shown: str | None = None) -> None:
        """Show a line and log it; neither if `show` is False. shown: a shorter line for the terminal."""
        if show:
            self.printed()
            self.show_line(printable(text if shown is None else shown))
            self._append(printable(text))

    def _append(self, text: str) -> None:
        """Append a line to the log; absolute paths are cut to their last part, since a log may be shared."""
        if self.log is None:
            self._unlogged.append(text)
            return
        append_line(self.log, hide_paths(text), durable=False)


class PartConsole(Console):
    """Reporter of one of several pieces of work at the same time, with a log of its own.

    The console shows its warnings, each once for all of them, and without a terminal a line an epoch; all other lines
    only with `--verbose`. The log has all.
    """

    def __init__(self, whole: Console, name: str) -> None:
        super().__init__(whole.stopping, whole.quiet, whole.verbose, whole.clock)
        self.whole, self.name = whole, name

    def info(self, text: str) -> None:
        self._note(text, show=self.verbose)

    def warning(self, text: str) -> None:
        known = text in self.whole.warned
        self.whole.warned.add(text)
        if known and not self.verbose:
            self._append(printable(f"warning: {text}"))
        else:
            super().warning(text)

    def report_epoch(self, line: str, fitted: str) -> None:
        if self.verbose or self.width() is None:
            super().report_epoch(line, fitted)
        else:
            self._note(line, show=False)

    def _note(self, text: str, *, show: bool) -> None:
        """Log a line, unless the command is quiet, and show it or not."""
        if show:
            self._report(text, show=True)
        elif not self.quiet:
            self._append(printable(text))

    def show_line(self, text: str) -> None:
        warning, message = ("warning: ", text[9:]) if text.startswith("warning: ") else ("", text)
        self.whole.printed()
        self.whole.show_line(f"{warning}{self.name}: {message}")

    def show_progress(self, stage: str, done: int, total: int, unit: str) -> None:
        self.whole.show_part(self.name, stage, done, total, unit)

    def width(self) -> int | None:
        width = self.whole.width()
        return None if width is None else width - len(f"{self.name}: ")

    def close(self) -> None:
        self.whole.end_part(self.name)


class LiveConsole(Console):
    """Reporter for a terminal: lines above a progress bar with speed and remaining time."""

    def __init__(self, stop: StopRequest, quiet: bool = False, verbose: bool = False) -> None:
        super().__init__(stop, quiet, verbose)
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._rich = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32 if self._rich.width >= WIDE else 10),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("left", markup=False),
            console=self._rich,
            transient=True,
        )
        self._tasks: dict[str, tuple[str, Any]] = {}  # name of a piece of work -> its stage, and the bar of that

    def show_progress(self, stage: str, done: int, total: int, unit: str) -> None:
        self.show_part("", stage, done, total, unit)

    def show_part(self, name: str, stage: str, done: int, total: int, unit: str) -> None:
        shown, task = self._tasks.get(name, ("", None))
        if stage != shown or task is None:
            self.end_part(name)
            self._bar.start()
            description = f"{name}, {stage}" if name else stage
            task = self._bar.add_task(description, total=total or None, unit=unit, rate="")
            self._tasks[name] = (stage, task)
        speed = next(bar.speed for bar in self._bar.tasks if bar.id == task)
        rate = f"{speed:,.0f}/s" if speed else ""
        self._bar.update(task, completed=done, total=total or None, unit=unit, rate=rate)

    def end_part(self, name: str) -> None:
        if name in self._tasks:
            self._bar.remove_task(self._tasks.pop(name)[1])

    def width(self) -> int | None:
        return self._rich.width

    def show_line(self, text: str) -> None:
        from rich.text import Text

        self._rich.print(Text(wrapped(text, self._rich.width), style="yellow" if text.startswith("warning:") else ""))

    def close(self) -> None:
        self._bar.stop()


def console_for(stop: StopRequest, quiet: bool, verbose: bool) -> Console:
    """Return a `LiveConsole` if stderr is a terminal and not quiet, else a `Console`."""
    return (LiveConsole if sys.stderr.isatty() and not quiet else Console)(stop, quiet, verbose)
