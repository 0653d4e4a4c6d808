"""Arguments of `monitor`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class MonitorRequest:
    """Arguments of `monitor`.

    Attributes:
        run: RUN of the command line.
        folder: a folder of images, at any depth, or an answer log.
        minimums: gates such as `accuracy=0.9`.
        gate_on: `point` or `lower`: gates hold against the expected value, or the worse end of its interval.
        report: file or folder of the page, or None.
        model, since, until: of a log, as in `Recent`.
        max_bad: largest fraction of unreadable images accepted; None for that of the run's config.
    """

    run: str
    folder: Path
    runs: Path
    minimums: tuple[str, ...] = ()
    gate_on: str = "point"
    report: Path | None = None
    model: str | None = None
    since: date | None = None
    until: date | None = None
    max_bad: float | None = None
