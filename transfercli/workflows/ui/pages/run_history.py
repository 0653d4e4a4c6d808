"""Histories of runs for the curves: the numbers of `metrics.jsonl`, read again only if the file has changed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transfercli.io.bounded import parse_json
from transfercli.runs.untrusted import is_number
from transfercli.workflows.ui.recent import Recent

MOST_BYTES = 16 * 2**20
MOST_EPOCHS = 20_000
MOST_SERIES = 40
MOST_KEPT = 200  # files
NOT_DRAWN = ("epoch", "phase")


@dataclass(frozen=True)
class History:
    """Numbers of a run by epoch. stamp: of the file, "" without one; problem: why later lines are missing, or ""."""

    stamp: str = ""
    epochs: tuple[int, ...] = ()
    phases: tuple[int | None, ...] = ()
    series: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "epochs": self.epochs,
            "phases": self.phases,
            "series": self.series,
            "problem": self.problem or None,
        }


class Histories:
    """Histories of files, the last ones kept in memory."""

    def __init__(self) -> None:
        self._kept = Recent[History](MOST_KEPT)

    def read(self, path: Path) -> History:
        """Return the history in a file; that of a file that cannot be read is empty, and has the problem."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return History()
        except OSError as error:
            return History(problem=f"{path.name} cannot be read: {error.strerror}")
        with os.fdopen(handle, "rb") as file:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                return History(problem=f"{path.name} is not a file")
            stamp = f"{info.st_ino}-{info.st_size}-{info.st_mtime_ns}"
            if (known := self._kept.get(path)) and known.stamp == stamp:
                return known
            return self._kept.put(path, parse(file.read(MOST_BYTES + 1), stamp))


def parse(content: bytes, stamp: str) -> History:
    """Return the history that a file holds. A last line without its end is being written, or was left by a kill.

    A run that is resumed writes an epoch again: its last line counts.
    """
    problem = f"the file has more than {MOST_BYTES:,} bytes" if len(content) > MOST_BYTES else ""
    lines: dict[int, dict[str, Any]] = {}
    texts = content[:MOST_BYTES].split(b"\n")
    for number, text in enumerate(texts[:-1], 1):
        try:
            line = parse_json(text)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict) or not isinstance(line.get("epoch"), int) or isinstance(line["epoch"], bool):
            problem = f"line {number} is damaged: it and the lines after it are left out"
            break
        lines[line["epoch"]] = line
        if len(lines) > MOST_EPOCHS:
            problem = f"only {MOST_EPOCHS:,} epochs are shown"
            break
    epochs = sorted(lines)
    names = dict.fromkeys(name for line in lines.values() for name, value in line.items() if is_number(value))
    drawn = [name for name in names if name not in NOT_DRAWN][:MOST_SERIES]
    phases = [lines[epoch].get("phase") for epoch in epochs]
    return History(
        stamp,
        tuple(epochs),
        tuple(phase if isinstance(phase, int) else None for phase in phases),
        {name: tuple(_number(lines[epoch].get(name)) for epoch in epochs) for name in drawn},
        problem,
    )


def _number(value: Any) -> float | None:
    return value if is_number(value) else None
