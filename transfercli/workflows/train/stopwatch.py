"""Seconds a stage, for the result."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Measures stages of one command; a stage inside another is taken off the outer one."""

    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=lambda: {"ingest": 0.0, "features": 0.0, "train": 0.0})
    _inside: float = 0.0

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun, before, self._inside = time.perf_counter(), self._inside, 0.0
        try:
            yield
        finally:
            taken = time.perf_counter() - begun
            self.seconds[stage] += taken - self._inside
            self._inside = before + taken

    def all(self) -> dict[str, float]:
        total = time.perf_counter() - self.started
        return {stage: round(value, 3) for stage, value in {**self.seconds, "total": total}.items()}
