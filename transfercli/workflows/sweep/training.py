"""Training of one trial of a sweep, and what became of it: an error ends the trial and not the sweep."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from transfercli.errors import (
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
from transfercli.runs.listing import recorded
from transfercli.runs.lock import experiment_lock, run_lock
from transfercli.runs.record import is_flattered
from transfercli.text import counted
from transfercli.workflows.series.train import TrainedMember, train_folds
from transfercli.workflows.sweep.epochs import best_value, epochs_of
from transfercli.workflows.sweep.result import TrialRow
from transfercli.workflows.sweep.trial_answers import honest_score
from transfercli.workflows.sweep.trials import OtherImagesError, TrialSpec, marks_of, trial_job, trial_request
from transfercli.workflows.train.job import Job
from transfercli.workflows.train.train import read_data, train_job
from transfercli.workflows.train.training_data import fingerprint

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset

ATTEMPTS = 5  # at data that another trial splits in another way at the same moment


LooksBad = Callable[[int, float], bool]


class Pruned(Exception):
    """Raised if a trial ends early, because others are better at the same epoch."""


def train_trial(spec: TrialSpec, reporter: Reporter, looks_bad: LooksBad = lambda *_: False) -> TrialRow:
    """Train a trial's run, or go on with it; return the trial with its state.

    looks_bad: takes the mean metric after each fold of a trial that is judged by folds; True ends the trial.

    Raises `DiskError`, `UsageError` and `OtherImagesError`: every other trial would meet these, too.
    """
    started, row = time.perf_counter(), TrialRow(spec.number, spec.values, "running")
    try:
        with _locked_job(spec, reporter) as job:
            row = replace(row, run=job.run.path, runs=(job.run.path,))
            if spec.folds:
                row = _train_folds(spec, row, reporter, looks_bad)
            else:
                _train(job, spec, reporter)
                row = replace(row, state="completed", value=value_of(job.run, spec.metric, reporter))
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
    steps = row.steps if spec.folds else _epochs(row, spec.metric)
    return replace(row, steps=steps, seconds=round(time.perf_counter() - started, 3))


@contextmanager
def _locked_job(spec: TrialSpec, reporter: Reporter) -> Iterator[Job]:
    """Yield the job of a trial, whose run no other process trains while the block runs."""
    job = trial_job(spec, reporter)
    with job.loaded.placing(), experiment_lock(job.run.path.parent, shared=True), run_lock(job.run):
        yield job


def _train_folds(spec: TrialSpec, row: TrialRow, reporter: Reporter, looks_bad: LooksBad) -> TrialRow:
    """Train the folds of a trial; its value is the mean over the folds, its steps the means so far.

    Raises the error of a fold that failed, and `Pruned`.
    """
    values: list[float] = []
    steps: list[tuple[int, float]] = []

    def go_on(member: TrainedMember) -> bool:
        if member.failure:
            raise member.failure
        values.append(value_of(member.run, spec.metric, reporter))
        steps.append((len(values), sum(values) / len(values)))
        if len(values) < (spec.folds or 0) and looks_bad(*steps[-1]):
            raise Pruned(
                f"{spec.metric} {steps[-1][1]:.4g} of {counted(len(values), 'fold')} is worse than most others"
            )
        return True

    trained = train_folds(
        trial_request(spec), spec.folds or 0, reporter, marks=marks_of(spec), go_on=go_on, going_on=spec.going_on
    )
    runs = tuple(member.run.path for member in trained.members)
    return replace(row, state="completed", run=runs[0], runs=runs, value=steps[-1][1], steps=tuple(steps))


def _train(job: Job, spec: TrialSpec, reporter: Reporter) -> None:
    """Train a job; read its data again if another trial assigned the same images to other splits meanwhile.

    Raises `OtherImagesError` before the training if its images are not those of the trials before.
    """

    def read(job: Job, reporter: Reporter) -> Dataset:
        dataset = read_data(job, reporter)
        if spec.images not in (None, fingerprint(dataset)):
            raise OtherImagesError(job.run)
        return dataset

    for _ in range(ATTEMPTS - 1):
        with suppress(SplitsChangedError):
            train_job(job, reporter, read=read)
            return
    train_job(job, reporter, read=read)


def _fatal(error: Exception) -> TransferError | None:
    """Return the error that ends the sweep if it is not the trial's fault: a full disk, a folder without permission."""
    if isinstance(error, (DiskError, UsageError, OtherImagesError)):
        return error
    if isinstance(error, OSError) and is_out_of_space(error) and not isinstance(error, MemoryError):
        hint = "free disk space, then start the same command again"
        return DiskError(f"the disk is full: {error.strerror or error}; files written before are complete", hint)
    return None


def value_of(run: RunFolder, metric: str, reporter: Reporter) -> float:
    """Return the value of a trial: the metric of its best epoch, without images that an ancestor learnt from.

    If too few others are left it is of all images, with a warning.
    """
    if not is_flattered(recorded(run)):
        return best_value(run, metric)
    value, left, total = honest_score(run, metric)
    learnt = f"{run.label}: an ancestor learnt from {total - left} of the {counted(total, 'image')} that score it"
    if value is None:
        reporter.warning(f"{learnt}, and too few are left: its {metric} is too good, and misleads the search")
        return best_value(run, metric)
    reporter.info(f"{learnt}: its {metric} for the search, {value:.4g}, is of the other {left}")
    return value


def _epochs(row: TrialRow, metric: str) -> tuple[tuple[int, float], ...]:
    return tuple(epochs_of(RunFolder(row.run), metric)) if row.run else ()


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
