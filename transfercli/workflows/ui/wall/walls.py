"""Walls that were opened last: each reads the files of an evaluation once, and again if they have changed."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock

from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.pictures import RecordedFiles
from transfercli.workflows.ui.wall.evaluated import TABLE, Asked, Evaluated, EvaluatedImage, read_evaluated

MOST_KEPT = 4


@dataclass(frozen=True, eq=False)
class Wall:
    """Evaluation of a run that is looked at. orders: those that were asked for last."""

    run: StoredRun
    split: str
    evaluated: Evaluated

    orders: OrderedDict[Asked, list[EvaluatedImage]] = field(default_factory=OrderedDict)

    @cached_property
    def files(self) -> RecordedFiles:
        return RecordedFiles(self.run)

    def images(self, asked: Asked) -> list[EvaluatedImage]:
        """Return the images that are asked for, in their order; the last few orders are kept, as parts ask again."""
        found = self.orders.get(asked)
        if found is None:
            found = self.orders[asked] = asked.of(self.evaluated)
            while len(self.orders) > MOST_KEPT:
                with suppress(KeyError):  # another thread was faster
                    self.orders.popitem(last=False)
        return found


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
