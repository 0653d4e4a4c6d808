"""Jobs of the site: work that takes longer than a request, done one after another on a thread of its own."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal

from transfercli.errors import Interrupted, TransferError
from transfercli.reporting import Reporter
from transfercli.text import first_line

State = Literal["waiting", "running", "done", "failed"]
Work = Callable[[Reporter], Any]
MOST_KEPT = 24  # results; each may be a page of several MB
MOST_WAITING = 8


@dataclass(eq=False, slots=True)
class Job:
    """A piece of work.

    result: of the work that is done; message, hint: of the error that ended it. warnings: of the work so far.
    """

    work: Work
    state: State = "waiting"
    stage: str = ""
    result: Any = None
    message: str = ""
    hint: str | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "failed")


class Jobs:
    """Jobs by their keys. One thread does them all, since a model may need the whole memory.

    The last `MOST_KEPT` results are kept.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter, self._lock = reporter, threading.Lock()
        self._jobs: OrderedDict[Hashable, Job] = OrderedDict()
        self._queue: SimpleQueue[Job] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, key: Hashable, work: Work) -> Job:
        """Return the job of a key, begun now if there is none. A full queue gives a job that has failed.

        work: gets a reporter, whose `progress` raises as soon as the command is asked to stop.
        """
        with self._lock:
            if job := self._jobs.get(key):
                self._jobs.move_to_end(key)
                return job
            if sum(not job.is_over for job in self._jobs.values()) >= MOST_WAITING:
                return Job(work, "failed", message="too much work is waiting", hint="try again when some of it is done")
            job = self._jobs[key] = Job(work)
            for old in [key for key, each in self._jobs.items() if each.is_over][: len(self._jobs) - MOST_KEPT]:
                del self._jobs[old]
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
                self._thread.start()
        self._queue.put(job)
        return job

    def forget(self, key: Hashable) -> None:
        """Drop the result of a job that is over, so that it is done again when it is asked for next."""
        with self._lock:
            if (job := self._jobs.get(key)) and job.is_over:
                del self._jobs[key]

    def _work(self) -> None:
        while True:
            job = self._queue.get()
            job.state = "running"
            try:
                job.result = job.work(_JobReporter(job, self._reporter))
                job.state = "done"
            except TransferError as error:
                job.message, job.hint, job.state = error.message, error.hint, "failed"
            except Exception as error:  # a job never ends the thread of all jobs
                self._reporter.warning(f"a job of the page failed: {type(error).__name__}: {first_line(error)}")
                job.message, job.state = f"{type(error).__name__}: {first_line(error)}", "failed"


class _JobReporter(Reporter):
    """Reporter of a job: it keeps stage and warnings for the page, and ends the job if the command is to stop."""

    def __init__(self, job: Job, reporter: Reporter) -> None:
        self._job, self._reporter = job, reporter

    def warning(self, text: str) -> None:
        if text not in self._job.warnings:
            self._job.warnings.append(text)

    def progress(self, stage: str, done: int, total: int, unit: str = "images") -> None:
        if signal := self._reporter.stop_signal():
            raise Interrupted(signal, "the site was stopped")
        self._job.stage = f"{stage}: {done:,} of {total:,} {unit}" if total else stage
