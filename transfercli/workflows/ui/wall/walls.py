"""Walls that were opened last: each reads the files of an evaluation once, and again if they have changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.pictures import RecordedFiles
from transfercli.workflows.ui.recent import Recent
from transfercli.workflows.ui.stamps import stamp_of
from transfercli.workflows.ui.wall.evaluated import TABLE, Asked, Evaluated, EvaluatedImage, read_evaluated

MOST_KEPT = 4


@dataclass(frozen=True, eq=False)
class Wall:
    """Evaluation of a run that is looked at. orders: those that were asked for last."""

    run: StoredRun
    split: str
    evaluated: Evaluated
    orders: Recent[list[EvaluatedImage]] = field(default_factory=lambda: Recent(MOST_KEPT))

    @cached_property
    def files(self) -> RecordedFiles:
        return RecordedFiles(self.run)

    def images(self, asked: Asked) -> list[EvaluatedImage]:
        """Return the images that are asked for, in their order; the last few orders are kept, as parts ask again."""
        return self.orders.made(asked, lambda: asked.of(self.evaluated))


class Walls:
    """The walls that were opened last, at most `MOST_KEPT`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept = Recent[Wall](MOST_KEPT)

    def wall(self, run: StoredRun, split: str) -> Wall:
        """Return the wall of an evaluation. Raises `ArtefactError` if there is none, or if a file is damaged."""
        key = run.path, split, stamp_of(run.folder.evaluation(split) / TABLE)
        return self._kept.made(key, lambda: Wall(run, split, read_evaluated(run, split)))
