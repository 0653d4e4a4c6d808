"""Reviews of the site, one an experiment: the search for doubtful labels, and what a page asks about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from transfercli.data.dataset import Record
from transfercli.data.label_sets import LabelSet
from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.runs.folder import RunFolder
from transfercli.runs.listing import latest_completed
from transfercli.runs.lookup import is_experiment
from transfercli.runs.untrusted import check_run_folder
from transfercli.text import shortened
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.ui.jobs import Job
from transfercli.workflows.ui.pictures import RecordedFiles
from transfercli.workflows.ui.review.decisions import Decisions, line_to_add, log_of
from transfercli.workflows.ui.review.doubts import Doubts, find_doubts
from transfercli.workflows.ui.review.queues import TITLES
from transfercli.workflows.ui.site import Site

MOST_CLASSES = 20_000  # that a page offers


@dataclass(frozen=True)
class Review:
    """Review of an experiment, by its latest completed run.

    job: the search for doubtful labels, which goes on beside the requests.
    """

    site: Site
    folder: RunFolder
    log: Path
    job: Job
    decisions: Decisions

    @property
    def experiment(self) -> str:
        return self.folder.experiment

    @cached_property
    def run(self) -> StoredRun:
        return StoredRun(self.folder, self.site.reporter)

    @cached_property
    def files(self) -> RecordedFiles:
        return RecordedFiles(self.run)

    @cached_property
    def line(self) -> str:
        """Line that a config needs for the decisions to count, or ""."""
        return line_to_add(self.folder, self.log)

    @property
    def doubts(self) -> Doubts:
        """The doubtful labels. Raises `BusyError` as long as they are looked for, `ArtefactError` if that failed."""
        if self.job.state == "failed":
            raise ArtefactError(self.job.message, self.job.hint)
        if self.job.state != "done":
            raise BusyError("the images are still being read", "wait for the search to end")
        found: Doubts = self.job.result
        return found

    def record(self, row: int) -> Record:
        """Return the image of a row. Raises `ArtefactError` if there is none."""
        images = self.doubts.images
        if not 0 <= row < len(images):
            raise ArtefactError(f"there is no image {row}", f"the data has {len(images)}")
        return images[row]

    def rows_of(self, snapshot: object, row: object) -> list[int]:
        """Return a row that a page sends, and those of images with the same pixels.

        Raises `BusyError` if the images are others than when the page was made.
        """
        if snapshot != self.doubts.snapshot:
            raise BusyError("the images are others than on this page", "load the page again")
        if not isinstance(row, int) or isinstance(row, bool):
            raise UsageError(f"{shortened(str(row), 40)!r} is no image")
        self.record(row)
        return [row, *(other for other in self.doubts.copies.get(row, ()) if other != row)]

    def reviewer(self, name: str) -> str:
        """Return the name to write beside a decision: that of the page, else that of the command line."""
        return name or self.site.reviewer

    def state(self) -> dict[str, Any]:
        """Return the state of the search; once it is done, the queues, the classes and the progress."""
        job = self.job
        found = {"state": job.state, "stage": job.stage, "message": self.site.hidden(job.message), "hint": job.hint}
        if job.state != "done":
            return found
        doubts = self.doubts
        states = self.decisions.states(doubts.images)
        return found | {
            "snapshot": doubts.snapshot,
            "labels": doubts.labels[:MOST_CLASSES],
            "several": doubts.several,
            "note": doubts.note,
            "warnings": [_shown(self.site.hidden(text)) for text in job.warnings],
            "progress": self.progress(),
            "queues": [
                {
                    "name": name,
                    "title": title,
                    "total": len(doubts.queues[name]),
                    "open": sum(not states[row].decided for row in doubts.queues[name]),
                }
                for name, title in TITLES.items()
            ],
        }

    def progress(self) -> dict[str, int]:
        """Return the number of images, and of those that were decided on."""
        contents = self.doubts.contents
        return {"images": len(contents), "decided": self.decisions.count(contents)}

    def queue(self, name: str) -> dict[str, Any]:
        """Return the rows of a queue that nobody has decided on, the most doubtful first."""
        doubts = self.doubts
        if name not in doubts.queues:
            raise UsageError(f"{shortened(name, 40)!r} is no queue", f"allowed: {', '.join(TITLES)}")
        rows = doubts.queues[name]
        states = self.decisions.states([doubts.images[row] for row in rows])
        return {
            "snapshot": doubts.snapshot,
            "rows": [row for row, state in zip(rows, states, strict=True) if not state.decided],
            "total": len(rows),
        }

    def image(self, row: int) -> dict[str, Any]:
        """Return what a page shows of an image."""
        doubts, record = self.doubts, self.record(row)
        state = self.decisions.state(record)
        nearest = doubts.nearest.get(row, ())
        neighbours = zip(nearest, self.decisions.states([doubts.images[one] for one in nearest]), strict=True)
        return {
            "row": row,
            "path": _shown(record.path),
            "label": _as_json(state.label, several=doubts.several),
            "unknown": list(LabelSet.read(state.label).unknown) if doubts.several else [],
            "decided": state.decided,
            "who": state.who,
            "decision": state.decision,
            "split": record.split,
            "size": [record.width, record.height],
            "answers": [list(answer) for answer in doubts.answers[row]],
            "reasons": {name: texts[row] for name, texts in doubts.reasons.items() if row in texts},
            "copies": [_shown(doubts.images[one].path) for one in doubts.copies.get(row, ()) if one != row],
            "nearest": [
                {"row": one, "path": _shown(doubts.images[one].path), "label": _words(state.label, doubts)}
                for one, state in neighbours
            ],
        }


def _as_json(label: str, *, several: bool) -> Any:
    if not several:
        return label
    return list(LabelSet.read(label).has)


def _words(label: str, doubts: Doubts) -> str:
    return LabelSet.read(label).shown if doubts.several else label


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Reviews:
    """Reviews of all experiments of a site; one that is asked for first begins its search."""

    site: Site
    _decisions: dict[Path, Decisions] = field(default_factory=dict)
    _reviews: dict[str, Review] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def experiments(self) -> list[str]:
        """Return the names of the experiments with a completed run."""
        return sorted({run.row.experiment for run in self.site.index.listing().runs if run.row.status == "completed"})

    def of(self, name: str) -> Review:
        """Return the review of an experiment. Raises `ArtefactError` if it has no completed run."""
        if not is_experiment(name, self.site.runs):
            raise ArtefactError(f"there is no experiment {shortened(name, 70)!r}", "the first page lists all of them")
        folder = latest_completed(self.site.runs / name)
        if folder is None:
            raise ArtefactError(f"{name} has no completed run", "its labels can be reviewed once it has one")
        check_run_folder(folder.path)
        with self._lock:
            review = self._reviews.get(name)
            if review is None or review.folder.path != folder.path:
                review = self._reviews[name] = self._begun(folder)
            return review

    def again(self, name: str) -> None:
        """Drop the result of a search that is over, so that the images are read anew when they are asked for next."""
        with self._lock:
            review = self._reviews.get(name)
            if review is not None and review.job.is_over:
                self.site.jobs.forget(_key(review.folder))
                del self._reviews[name]

    def _begun(self, folder: RunFolder) -> Review:
        log = log_of(folder)
        decisions = self._decisions.setdefault(log, Decisions(log))
        job = self.site.jobs.start(_key(folder), lambda reporter: find_doubts(folder, log, reporter))
        return Review(self.site, folder, log, job, decisions)


def _key(folder: RunFolder) -> tuple[str, str]:
    """Return the key of the search with a run."""
    return "review", str(folder.path)
