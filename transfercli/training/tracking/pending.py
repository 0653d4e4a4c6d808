"""Calls that a tracking store has not taken yet, kept in the run as lines of JSON and sent at the next chance."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from transfercli.errors import TransferError
from transfercli.io import atomic

Call = dict[str, Any]
MAX_BYTES = 64 * 2**20


class PendingCalls:
    """Queue of calls in a file; an empty queue has none.

    A call that cannot be kept, as on a full disk, is dropped. The file may come from a stranger, with the run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, call: Call) -> None:
        with suppress(TransferError, OSError):
            if not self.path.exists() or self.path.stat().st_size < MAX_BYTES:
                atomic.append_line(self.path, json.dumps(call, allow_nan=False), durable=False)

    def send(self, send: Callable[[Call], None]) -> None:
        """Send all calls, oldest first, then remove the file.

        If one fails, the error is raised and the file stays: a call may be sent twice, which a store must take.
        """
        for line in self._lines():
            if (call := _parsed(line)) is not None:
                send(call)
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        try:
            with self.path.open("rb") as file:
                return file.read(MAX_BYTES).decode("utf-8", "replace").splitlines()
        except OSError:
            return []


def _parsed(line: str) -> Call | None:
    """Return the call of a line, or None if a kill cut it short."""
    try:
        call = json.loads(line)
    except ValueError:
        return None
    return call if isinstance(call, dict) else None
