"""Messages between the processes of a sweep: JSON objects, one a line, through pipes.

The supervisor sends `trial` (a `TrialSpec`), `prune` (the answer to a step) and `stop` (the number of a signal). A
worker sends the calls of its reporter (`info`, `debug`, `warning`, `progress`, `epoch`, `log`), `step` with the metric
of an epoch or after a fold, and at the end of a trial `done` (a `TrialRow`), or `fatal` for an error that is not the
trial's fault.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from transfercli.workflows.sweep.result import TrialRow


class Sender:
    """Writing end of a pipe; may be called from several threads. A reader that is gone is ignored."""

    def __init__(self, handle: int) -> None:
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._lock = threading.Lock()

    def __call__(self, **message: Any) -> None:
        line = memoryview(json.dumps(message).encode() + b"\n")
        with self._lock, suppress(OSError, ValueError):
            while line:
                line = line[self._file.write(line) :]

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()


class Receiver:
    """Reading end of a pipe: the messages until the sender is gone."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with suppress(OSError), self._file:
            for line in self._file:
                with suppress(ValueError):  # the last line of a sender that was killed
                    yield json.loads(line)


def row_as_message(row: TrialRow) -> dict[str, Any]:
    return asdict(row) | {"run": None if row.run is None else str(row.run), "runs": [str(run) for run in row.runs]}


def row_from_message(content: dict[str, Any]) -> TrialRow:
    run, runs = content["run"], tuple(Path(run) for run in content["runs"])
    steps = tuple((epoch, value) for epoch, value in content["steps"])
    return TrialRow(**{**content, "run": None if run is None else Path(run), "runs": runs, "steps": steps})
