"""Standard files of the process: all three are open, and a reader that goes away ends no work.

A training may outlive the terminal, the pipe or the disk behind stderr. Its messages are also in the run's log, so a
line that cannot be written to stderr is dropped. If the reader of stdout goes away, the program ends without a message,
as Unix tools do.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from contextlib import suppress
from typing import Any

from transfercli.errors import WRITE_ERRNOS, OutOfSpaceError, UsageError

LINE_SECONDS = 1.0  # to wait for a reader of stderr that is slow


class _StandardFile(io.FileIO):
    """File of stdout or stderr; a program that shares it may have set it not to block."""

    def _write(self, content: Any, seconds: float | None = None) -> int:
        """Write as much as the file takes now; wait for its reader if it is full, for `seconds` at most if given."""
        written = super().write(content)
        if written is None:
            select.select([], [self], [], seconds)
            written = super().write(content)
        return written or 0


class _MessageFile(_StandardFile):
    """File of stderr: what cannot be written is dropped, as it is in the run's log, too."""

    def write(self, content: Any) -> int:
        try:
            written = self._write(content, LINE_SECONDS)
        except OSError as error:
            written = 0
            if _reader_is_gone(error, self.fileno()):
                discard(self.fileno())  # so that libraries and child processes do not fail either
        return written or memoryview(content).nbytes


class _ResultFile(_StandardFile):
    """File of stdout.

    A write raises `BrokenPipeError` if the reader is gone, `OutOfSpaceError` if the disk is full or fails, and
    `UsageError` otherwise. Later writes are dropped, so that the end of the process does not fail again.
    """

    def write(self, content: Any) -> int:
        try:
            return self._write(content)
        except OSError as error:
            gone = _reader_is_gone(error, self.fileno())
            discard(self.fileno())
            if gone:
                raise BrokenPipeError(os.strerror(errno.EPIPE)) from error  # without a number, so that Click passes it
            message = f"the result cannot be written to stdout: {error.strerror}"
            raise (OutOfSpaceError if error.errno in WRITE_ERRNOS else UsageError)(message) from error


def prepare_standard_files() -> None:
    """Open the standard files that a shell closed, and replace stdout and stderr by files that fail as above."""
    _open_closed_files()
    if _is_standard(sys.stdout, 1):
        results = io.BufferedWriter(_ResultFile(1, "w", closefd=False))
        sys.stdout = io.TextIOWrapper(results, sys.stdout.encoding, line_buffering=sys.stdout.isatty())
    if _is_standard(sys.stderr, 2):
        messages = io.BufferedWriter(_MessageFile(2, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(messages, sys.stderr.encoding, line_buffering=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 must not fail on a class name


def _is_standard(stream: Any, descriptor: int) -> bool:
    """Return True if a stream is the interpreter's own; tests capture another."""
    return type(stream) is io.TextIOWrapper and stream.fileno() == descriptor


def _open_closed_files() -> None:
    """Open stdin, stdout and stderr on the null device if a shell closed them (`>&-`).

    Otherwise the next file that is opened would get the descriptor of a standard file, and be read as stdin.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # child processes expect all three, too
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - open until the program ends
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def write_now(descriptor: int, text: str) -> None:
    """Write text to a descriptor without a buffer, since the process may end right after it; ignore a failure."""
    with suppress(OSError):
        os.write(descriptor, text.encode("utf-8", "backslashreplace"))


def _reader_is_gone(error: OSError, descriptor: int) -> bool:
    """Return True if a write failed because the pipe's reader ended or the terminal was closed."""
    return error.errno == errno.EPIPE or (error.errno == errno.EIO and stat.S_ISCHR(os.fstat(descriptor).st_mode))


def discard(descriptor: int) -> None:
    """Let later writes to a descriptor go nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
