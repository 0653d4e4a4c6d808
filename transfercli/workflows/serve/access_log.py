"""Access log: one line of JSON a request, written by a thread, so that a full pipe stops no answer."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

MOST_LINES = 20_000  # that wait for the writer; more are counted and left out
SECONDS = 0.1  # between two writes
_ENCODER = json.JSONEncoder()


class AccessLog:
    """Log of requests. Lines hold no content of clients but an id of letters, digits, dots and dashes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: deque[dict[str, Any]] = deque()
        self._lost = 0
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
        with suppress(OSError, ValueError):  # the reader is gone, or the stream is closed: requests go on
            while not self._ends.wait(SECONDS):
                self._flush()
            self._flush()

    def _flush(self) -> None:
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        text = [_line(line) for line in lines]
        if self._lost:
            lost, self._lost = self._lost, 0
            text.append(_line({"time": time.time(), "lost_lines": lost}))
        if text:
            self._out.write("".join(text))
            self._out.flush()


def _line(facts: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(facts["time"], UTC).isoformat(timespec="milliseconds")
    facts["time"] = moment.replace("+00:00", "Z")
    return _ENCODER.encode(facts) + "\n"
