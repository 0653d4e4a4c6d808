"""Stopwatch for the seconds of each stage of a command."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds per stage of a command. The seconds of a nested stage do not count for the outer one."""

    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=lambda: {"ingest": 0.0, "features": 0.0, "train": 0.0})
    _inside: float = 0.0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start, outer_inside, self._inside = time.perf_counter(), self._inside, 0.0
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self.seconds[stage] += elapsed - self._inside
            self._inside = outer_inside + elapsed

    def all(self) -> dict[str, float]:
        """Return the seconds of each stage, and in total since the start."""
        total = time.perf_counter() - self.started
        return {stage: round(value, 3) for stage, value in {**self.seconds, "total": total}.items()}
