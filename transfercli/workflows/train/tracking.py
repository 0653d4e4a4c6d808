"""Experiment tracking of trainings and evaluations: TensorBoard event files in the run, and an MLflow store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from transfercli.errors import Interrupted, UsageError
from transfercli.reporting import Reporter
from transfercli.runs.folder import RunFolder
from transfercli.runs.record import RunRecord
from transfercli.workflows.stored_run import StoredRun

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig
    from transfercli.evaluation.result import Evaluation
    from transfercli.training.trainer import Keep, Progress
    from transfercli.workflows.train.job import Job
    from transfercli.workflows.train.setup import Setup


class Tracker(Protocol):
    """A receiver of the epochs of a training and of its final status."""

    def epoch(self, line: Mapping[str, Any]) -> None: ...

    def end(self, status: str) -> None: ...


def check_tracking(config: ExperimentConfig) -> None:
    """Check the tracking section. Raises `UsageError` if it names an MLflow store and MLflow is not installed."""
    from transfercli.training.tracking.mlflow_store import check_installed

    if config.tracking.mlflow is not None:
        check_installed()


@contextmanager
def track_training(job: Job, setup: Setup, reporter: Reporter) -> Iterator[None]:
    """Send every epoch that is kept inside the block to the trackers, and at its end the status of the training."""
    from transfercli.training.distribution.processes import processes

    trackers = _trackers(job, setup, reporter) if processes().is_chief else []
    keep: Keep = setup.trainer.keep

    def keep_and_track(progress: Progress, checkpoint: Any, is_best: bool) -> None:
        keep(progress, checkpoint, is_best)
        for tracker in trackers:
            tracker.epoch(progress.line)

    setup.trainer.keep = keep_and_track
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except Interrupted:
        status = "KILLED"
        raise
    finally:
        for tracker in trackers:
            tracker.end(status)


def _trackers(job: Job, setup: Setup, reporter: Reporter) -> list[Tracker]:
    from transfercli.training.tracking.tensorboard import TensorBoard

    trackers: list[Tracker] = [TensorBoard(job.run, setup.classifier)] if job.config.tracking.tensorboard else []
    if (store := _mlflow_run(job.run, job.config, reporter)) is not None:
        stored = RunRecord.read(job.run)
        tags = {"workflow": job.command, "git_commit": stored.git_commit, "parent": stored.parent}
        store.begin(job.config.model_dump(mode="json"), {key: str(value) for key, value in tags.items() if value})
        trackers.append(store)
    return trackers


def _mlflow_run(run: RunFolder, config: ExperimentConfig, reporter: Reporter) -> Any:
    """Return the run in the MLflow store that the config names, or None if it names none."""
    from transfercli.training.tracking.mlflow_store import MlflowRun, check_installed, store_address

    if config.tracking.mlflow is None:
        return None
    check_installed()
    return MlflowRun(store_address(config.tracking.mlflow), run, reporter)


def track_evaluation(run: StoredRun, folder: Path, evaluation: Evaluation, reporter: Reporter) -> None:
    """Send an evaluation whose files are in `folder` to the trackers.

    If MLflow is missing, that is only a warning: the evaluation itself is complete.
    """
    from transfercli.training.tracking.tensorboard import write_evaluation

    config, step = run.config, run.record.best_epoch or 0
    matrix = folder / "confusion_matrix.png"
    if config.tracking.tensorboard:
        write_evaluation(run.folder, folder.name, evaluation.metrics, matrix.read_bytes(), step)
    try:
        store = _mlflow_run(run.folder, config, reporter)
    except UsageError as error:
        reporter.warning(f"{error.message}; {error.hint}")
        return
    if store is not None:
        store.metrics({f"{folder.name}_{name}": value for name, value in evaluation.metrics.items()}, step)
        if evaluation.honest_examples < evaluation.examples:
            store.metrics({f"{folder.name}_honest_{name}": value for name, value in evaluation.honest.items()}, step)
        store.files(
            [folder / name for name in ("report.html", "metrics.json", matrix.name)], f"evaluation/{folder.name}"
        )
