"""Training images nearest to a picture: an index of a run's features, made once beside the requests."""

from __future__ import annotations

import dataclasses
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transfercli.data.dataset import Record, Split
from transfercli.data.image import Decoded
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.workflows.embed.candidates import Candidates, Search, find_candidates
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.recent import Recent

if TYPE_CHECKING:
    from transfercli.workflows.ui.jobs import Job, Jobs

NEIGHBOURS = 8
MOST_KEPT = 2


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Training image that is similar to a picture. similarity: cosine of the features, 1 for equal ones."""

    record: Record
    similarity: float


@dataclass(frozen=True, eq=False)
class TrainingIndex:
    """Features of the images that a run learnt from."""

    run: StoredRun
    candidates: Candidates

    @classmethod
    def of(cls, run: StoredRun, reporter: Reporter) -> TrainingIndex:
        """Return the index of a run, whose classifier it shares; the features of known images come from the cache."""
        own = copy(run)
        own.reporter = reporter
        own.prepare_data()
        found = find_candidates(Search.of(None, None, None), own)
        # A picture that is tried out is not stored, and so neither are its features.
        features = copy(found.embedder.features)
        features.cache = None
        return cls(own, dataclasses.replace(found, embedder=dataclasses.replace(found.embedder, features=features)))

    def nearest(self, decoded: Decoded) -> list[Neighbour]:
        """Return the training images nearest to a decoded picture."""
        from transfercli.transfer.embeddings.neighbours import nearest

        assert decoded.pixels is not None
        pixels = ArrayRows(decoded.pixels[None])
        asked = Split("", ("",), np.zeros(1, np.int32), self.run.labels, pixels, (decoded.sha256,))
        queries, _ = self.candidates.embedder.embed(asked)
        [found] = nearest(self.candidates.embeddings, np.concatenate([*queries.blocks()]), NEIGHBOURS, [()])
        by_path, paths = {record.path: record for record in self.run.images}, self.candidates.embeddings.paths
        return [Neighbour(by_path[paths[row]], similarity) for row, similarity in found if paths[row] in by_path]


class TrainingIndices:
    """The indices that were used last, at most `MOST_KEPT`; jobs make them."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs, self._kept = jobs, Recent[TrainingIndex](MOST_KEPT)

    def of(self, run: StoredRun) -> TrainingIndex | Job:
        """Return the index of a run, or the job that makes it now or failed to."""
        if (kept := self._kept.get(run.path)) is not None:
            return kept
        job = self._start(run)
        if job.state != "done":
            return job
        if (kept := self._kept.get(run.path)) is not None:
            return kept
        self._jobs.forget(_key(run))  # it gave way to others
        return self._start(run)

    def failed(self, run: StoredRun) -> None:
        """Forget a job that failed, so that the next request begins it again."""
        self._jobs.forget(_key(run))

    def _start(self, run: StoredRun) -> Job:
        def make(reporter: Reporter) -> None:
            self._kept.put(run.path, TrainingIndex.of(run, reporter))

        return self._jobs.start(_key(run), make)


def _key(run: StoredRun) -> tuple[str, Path]:
    return "training index", run.path
