"""A reporter for tests: it records every message, and can stop the work at a given progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transfercli.errors import Interrupted
from transfercli.reporting import Reporter

Step = tuple[str, int, int, str]


class Listener(Reporter):
    """A record of all messages, progress steps (stage, done, total, unit) and epochs, each list in order.

    stop_at: a stage, or a predicate of a step. The first progress that fits it is recorded and then raises `error`.
    """

    def __init__(self, stop_at: str | Callable[[Step], bool] | None = None, error: BaseException | None = None) -> None:
        self.infos: list[str] = []
        self.debugs: list[str] = []
        self.warnings: list[str] = []
        self.messages: list[str] = []  # infos, debugs and warnings as they came
        self.steps: list[Step] = []
        self.epochs: list[dict[str, Any]] = []
        self.logs: list[Path] = []
        self.stop_at, self.error = stop_at, error

    def info(self, text: str) -> None:
        self.infos.append(text)
        self.messages.append(text)

    def debug(self, text: str) -> None:
        self.debugs.append(text)
        self.messages.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)
        self.messages.append(text)

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        step = (stage, done, total, unit)
        self.steps.append(step)
        if self.stop_at is not None and (self.stop_at(step) if callable(self.stop_at) else self.stop_at == stage):
            raise self.error or Interrupted(15)

    def epoch(self, record: dict[str, Any], total: int) -> None:
        self.epochs.append(record)

    def attach_log(self, path: Path) -> None:
        self.logs.append(path)
