"""Training of one trial of a sweep, and what became of it: an error ends the trial and not the sweep."""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from dataclasses import replace
from typing import Any

from transfercli.errors import (
    ArtefactError,
    BusyError,
    DiskError,
    Interrupted,
    SplitsChangedError,
    TransferError,
    UsageError,
    exit_code,
    is_out_of_space,
)
from transfercli.io.atomic import append_line
from transfercli.redaction import hide_package_folders, hide_paths
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import experiment_lock, run_lock
from transfercli.runs.record import RunRecord
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.trials import TrialSpec, trial_job
from transfercli.workflows.train.job import Job
from transfercli.workflows.train.train import train_job

ATTEMPTS = 5  # at data that another trial splits in another way at the same moment


class Pruned(Exception):
    """Raised if a trial ends early, because others are better at the same epoch."""


def train_trial(spec: TrialSpec, reporter: Reporter) -> TrialRow:
    """Train a trial's run, or go on with it; return the trial with its state.

    Raises `DiskError` and `UsageError`: every other trial would meet these, too.
    """
    started, row = time.perf_counter(), TrialRow(spec.number, spec.values, "running")
    try:
        job = trial_job(spec, reporter)
        row = replace(row, run=job.run.path, runs=(job.run.path,))
        experiment = job.run.path.parent
        with job.loaded.placing(), experiment_lock(experiment, shared=True), run_lock(job.run):
            _train(job, reporter)
        row = _completed(row, job.run, spec.metric)
    except BusyError as error:
        return replace(row, reason=error.message)
    except Interrupted:
        row = replace(row, state="interrupted")
    except Pruned as pruned:
        row = replace(row, state="pruned", reason=str(pruned))
    except Exception as error:
        if fatal := _fatal(error):
            raise fatal from error
        row = replace(row, state="failed", code=exit_code(error), reason=_reason(error, row))
    return replace(row, steps=_steps(row, spec.metric), seconds=round(time.perf_counter() - started, 3))


def _train(job: Job, reporter: Reporter) -> None:
    """Train a job; read its data again if another trial assigned the same images to other splits meanwhile."""
    for _ in range(ATTEMPTS - 1):
        with suppress(SplitsChangedError):
            train_job(job, reporter)
            return
    train_job(job, reporter)


def _fatal(error: Exception) -> TransferError | None:
    """Return the error that ends the sweep if it is not the trial's fault: a full disk, a folder without permission."""
    if isinstance(error, (DiskError, UsageError)):
        return error
    if isinstance(error, OSError) and is_out_of_space(error) and not isinstance(error, MemoryError):
        hint = "free disk space, then start the same command again"
        return DiskError(f"the disk is full: {error.strerror or error}; files written before are complete", hint)
    return None


def _completed(row: TrialRow, run: RunFolder, metric: str) -> TrialRow:
    """Return a completed trial with the metric of its best epoch. Raises `ArtefactError` if the run has none."""
    best = RunRecord.read(run).best_epoch
    value = next((value for epoch, value in _steps(row, metric) if epoch == best), None)
    if value is None:
        raise ArtefactError(f"{run.label} has no {metric} of its best epoch", "train it again")
    return replace(row, state="completed", value=value)


def _steps(row: TrialRow, metric: str) -> tuple[tuple[int, float], ...]:
    """Return (epoch, metric) of the epochs in the run's history."""
    from transfercli.training import history

    if row.run is None or not RunFolder(row.run).metrics.exists():
        return ()
    lines: list[dict[str, Any]] = history.read(RunFolder(row.run).metrics)
    return tuple((line["epoch"], line[metric]) for line in lines if metric in line)


def _reason(error: Exception, row: TrialRow) -> str:
    """Return why a trial failed, in one line; the traceback of a bug goes to the run's log."""
    if isinstance(error, TransferError):
        return error.message
    first = (str(error).splitlines() or [""])[0]
    if is_out_of_space(error):
        return f"out of memory: {first[:200]}"
    text = hide_paths(hide_package_folders("".join(traceback.format_exception(error))))
    log = RunFolder(row.run).log if row.run else None
    if log is not None and log.parent.is_dir():
        with suppress(TransferError, OSError):
            append_line(log, text.rstrip("\n"))
    return f"bug: {type(error).__name__}: {first}"
