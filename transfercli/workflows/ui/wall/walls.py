"""Walls that were opened last: each reads the files of an evaluation once, and again if they have changed."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.pictures import RecordedFiles
from transfercli.workflows.ui.wall.evaluated import TABLE, Evaluated, read_evaluated

MOST_KEPT = 4


@dataclass(frozen=True, eq=False)
class Wall:
    """Evaluation of a run that is looked at."""

    run: StoredRun
    split: str
    evaluated: Evaluated

    @cached_property
    def files(self) -> RecordedFiles:
        return RecordedFiles(self.run)


class Walls:
    """The walls that were opened last, at most `MOST_KEPT`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[Path, str, int], Wall] = OrderedDict()

    def wall(self, run: StoredRun, split: str) -> Wall:
        """Return the wall of an evaluation. Raises `ArtefactError` if there is none, or if a file is damaged."""
        key = run.path, split, _changed(run.folder.evaluation(split) / TABLE)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = Wall(run, split, read_evaluated(run, split))
                while len(self._kept) > MOST_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0
