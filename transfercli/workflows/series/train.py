"""Training of a series: one run after the other, on images that are read once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transfercli.errors import BusyError, Interrupted, OutOfSpaceError, TransferError
from transfercli.io.session import shared_session
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.lock import run_lock
from transfercli.workflows.series.members import Member, Series, folds_of
from transfercli.workflows.series.out_of_fold import OutOfFold, pool_answers
from transfercli.workflows.series.shared_images import SharedImages
from transfercli.workflows.stored_run import StoredRun
from transfercli.workflows.train.job import TrainRequest
from transfercli.workflows.train.results import TrainResult
from transfercli.workflows.train.train import train_job


@dataclass(frozen=True)
class TrainedMember:
    """A run of a series, and what became of it. result: None if the run failed; failure: the reason."""

    member: Member
    run: RunFolder
    result: TrainResult | None = None
    failure: TransferError | None = None


@dataclass(frozen=True)
class TrainedFolds:
    """Result of `train_folds`.

    Attributes:
        members: the folds that were trained, in order; fewer than all if `go_on` ended them.
        out_of_fold: answers of the completed folds to their own images; None if no fold is complete.
    """

    members: tuple[TrainedMember, ...]
    out_of_fold: OutOfFold | None

    @property
    def failure(self) -> TransferError | None:
        """The error of the first fold that failed, or None."""
        return next((member.failure for member in self.members if member.failure), None)


def train_folds(
    request: TrainRequest,
    count: int,
    reporter: Reporter,
    *,
    marks: Mapping[str, Any] | None = None,
    images: SharedImages | None = None,
    go_on: Callable[[TrainedMember], bool] | None = None,
    going_on: str = "",
) -> TrainedFolds:
    """Train one run a fold; the caller holds the lock of the experiment. Complete folds are not trained again.

    request: a training, whose run id is that of the series: its runs are `ID-fold1` to `ID-foldK`. count: number of
    folds. marks: more keys of each run's record. images: read before, or None. go_on: called after each fold; False
    ends the series. going_on: command that goes on if the work is stopped; "": that of `finetune --folds`.

    A fold that fails, as one that diverges, is in the result. Raises an error that is not of one fold alone: of the
    config or the data before the first epoch, of a full disk, or a request to stop.
    """
    series = folds_of(request, count, marks, going_on)
    members = train_members(series, reporter, images=images, go_on=go_on)
    completed = [StoredRun(member.run, reporter) for member in members if member.result]
    return TrainedFolds(members, pool_answers(completed) if completed else None)


def train_members(
    series: Series,
    reporter: Reporter,
    *,
    images: SharedImages | None = None,
    go_on: Callable[[TrainedMember], bool] | None = None,
) -> tuple[TrainedMember, ...]:
    """Train the runs of a series that are not complete; arguments, result and errors as of `train_folds`."""
    images = images or SharedImages(series.seed)
    trained = list[TrainedMember]()
    with shared_session():
        for member in series.members:
            reporter.detach_log()
            reporter.info(f"{member.name}: {series.run_id(member)}")
            trained.append(_train_member(series, member, images, reporter))
            if go_on is not None and not go_on(trained[-1]):
                break
    reporter.detach_log()
    return tuple(trained)


def _train_member(series: Series, member: Member, images: SharedImages, reporter: Reporter) -> TrainedMember:
    job = series.job(member, reporter)
    try:
        with job.loaded.placing(), run_lock(job.run):
            result = train_job(job, reporter, read=images.read)
    except (Interrupted, OutOfSpaceError, BusyError):
        raise
    except TransferError as error:
        if not job.run.record.exists():  # it did not begin, and the next would not either
            raise
        reporter.warning(f"{member.name} failed: {error.message}")
        return TrainedMember(member, job.run, failure=error)
    assert isinstance(result, TrainResult), "no dry run was asked for"
    return TrainedMember(member, job.run, result)
