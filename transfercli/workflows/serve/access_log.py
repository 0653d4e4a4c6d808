"""Access log: one line of JSON a request, written by a thread, so that a full pipe stops no answer."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, BinaryIO

from transfercli.text import first_line

MOST_LINES = 20_000  # that wait for the writer; more are counted and left out
SECONDS = 0.1  # between two writes
_ENCODER = json.JSONEncoder()


class AccessLog:
    """Log of requests. Lines hold no content of clients but an id of letters, digits, dots and dashes.

    out: without a buffer. warn: called once if it cannot be written; it is tried again, and its lines wait meanwhile.
    """

    def __init__(self, out: BinaryIO, warn: Callable[[str], None] = lambda _: None) -> None:
        self._out, self._warn = out, warn
        self._lines: deque[dict[str, Any]] = deque()
        self._left = b""  # of the lines that were taken for writing
        self._lost = 0
        self._is_failing = False
        self._ends = threading.Event()
        self._writer = threading.Thread(target=self._write, name="access-log", daemon=True)
        self._writer.start()

    def add(self, facts: dict[str, Any]) -> None:
        """Log a request; cheap, and called in the event loop."""
        if len(self._lines) < MOST_LINES:
            self._lines.append({"time": time.time(), **facts})
        else:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, and end the thread; a reader that has stopped reading is not waited for."""
        self._ends.set()
        self._writer.join(timeout=2)

    def _write(self) -> None:
        while not self._ends.wait(SECONDS):
            self._try_flush()
        self._try_flush()

    def _try_flush(self) -> None:
        """Write what waits; of several failures in a row, only the first is a warning."""
        try:
            self._flush()
            self._is_failing = False
        except (OSError, ValueError) as error:  # the disk is full, the reader is gone, or the stream is closed
            if not self._is_failing:
                self._warn(f"the access log cannot be written, and is tried again: {first_line(error)}")
            self._is_failing = True

    def _flush(self) -> None:
        self._send()
        if not self._left:
            self._left = self._taken()
            self._send()

    def _taken(self) -> bytes:
        """Take the lines that wait."""
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        text = [_line(line) for line in lines]
        if self._lost:
            lost, self._lost = self._lost, 0
            text.append(_line({"time": time.time(), "lost_lines": lost}))
        return "".join(text).encode("ascii")

    def _send(self) -> None:
        """Write the lines that were taken, as far as the stream takes them."""
        while self._left and (count := self._out.write(self._left)):
            self._left = self._left[count:]


def _line(facts: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(facts["time"], UTC).isoformat(timespec="milliseconds")
    facts["time"] = moment.replace("+00:00", "Z")
    return _ENCODER.encode(facts) + "\n"
