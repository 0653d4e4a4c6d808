"""Training by several processes: they meet before anything is read, and end together if one of them is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from transfercli.errors import BusyError, PeerLostError, exit_code
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import RunFolder, has_checkpoint
from transfercli.runs.lock import experiment_lock
from transfercli.training.distribution.joining import end_without_farewell
from transfercli.training.distribution.launch import launch
from transfercli.training.distribution.meeting import RESTART_HINT, meet
from transfercli.training.distribution.start import DATA_PARALLEL, check_distribution
from transfercli.training.distribution.watch import current_watch, explained_errors, watching

if TYPE_CHECKING:
    from transfercli.workflows.train.job import Job

MEETING_TIMEOUTS = 5  # times `peer_timeout` that processes wait for each other: those of a job start minutes apart
LOCK_SECONDS = 1.0  # that the kernel may take to end the lock of a process that was killed


@contextmanager
def watching_others(job: Job, reporter: Reporter) -> Iterator[None]:
    """Meet the processes that were launched together, and watch over them inside the block; nothing for one alone.

    Raises `PeerLostError` if they do not all come, or if one dies or fails; `Interrupted` if one received a signal.
    """
    compute = job.config.compute
    place = launch() if compute.distribution == DATA_PARALLEL else None
    if place is None:
        yield
        return
    check_distribution(compute)
    on_wait = partial(reporter.progress, "waiting for the other processes", 0, 0, "")
    meeting = meet(place, job.config.name, MEETING_TIMEOUTS * compute.peer_timeout, on_wait)
    try:
        with watching(meeting, compute.peer_timeout, reporter, lambda error: error), explained_errors():
            yield
    except Exception as error:
        end_without_farewell(exit_code(error))
        raise


def resume_hint(job: Job) -> str:
    """Return the command that goes on with a run that is stopped, or how to start it in all processes."""
    if current_watch() is None:
        return job.resume_command
    return f"{RESTART_HINT}, with --run-id {job.run.path.name}"


def works_in_copy() -> bool:
    """Return True in a process that trains with others and is not the first one, whose files are those of the run."""
    watch = current_watch()
    return watch is not None and not watch.is_chief


def lost_peer(job: Job, error: PeerLostError) -> PeerLostError:
    """Return the error of a run whose training lost a process, and set the status of a running one to interrupted."""
    run = RunFolder(job.runs / job.run.path.parent.name / job.run.path.name)  # another process works in a copy
    if run.record.exists():
        if not works_in_copy():
            _mark(run)
        else:
            with suppress(BusyError, OSError), experiment_lock(run.path.parent, LOCK_SECONDS, partial(time.sleep, 0)):
                _mark(run)  # the first process, whose file this is, is gone
    kept = "is kept up to its last whole epoch" if has_checkpoint(run) else "goes on after its last whole epoch"
    return PeerLostError(f"{error.message}; {run.label} {kept}", resume_hint(job))


def _mark(run: RunFolder) -> None:
    if record.status_of(run) == "running":
        record.mark_interrupted(run)
