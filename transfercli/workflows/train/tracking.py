"""Who else is told of a training and its evaluations: TensorBoard's event files in the run, and an MLflow store."""

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


class Sink(Protocol):
    """One who is told."""

    def epoch(self, line: Mapping[str, Any]) -> None: ...

    def end(self, status: str) -> None: ...


def check_tracking(config: ExperimentConfig) -> None:
    """Before any work: `UsageError` where a store is named and MLflow is missing."""
    from transfercli.training.tracking.mlflow_store import check_installed

    if config.tracking.mlflow is not None:
        check_installed()


@contextmanager
def tracked(job: Job, setup: Setup, reporter: Reporter) -> Iterator[None]:
    """Inside the block, every epoch that is kept is told; at its end, how the training ended."""
    sinks = _sinks(job, setup, reporter)
    keep: Keep = setup.trainer.keep

    def keep_and_tell(progress: Progress, checkpoint: Any, is_best: bool) -> None:
        keep(progress, checkpoint, is_best)
        for sink in sinks:
            sink.epoch(progress.line)

    setup.trainer.keep = keep_and_tell
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except Interrupted:
        status = "KILLED"
        raise
    finally:
        for sink in sinks:
            sink.end(status)


def _sinks(job: Job, setup: Setup, reporter: Reporter) -> list[Sink]:
    from transfercli.training.tracking.tensorboard import TensorBoard

    sinks: list[Sink] = [TensorBoard(job.run, setup.classifier)] if job.config.tracking.tensorboard else []
    if (store := _store(job.run, job.config, reporter)) is not None:
        stored = RunRecord.read(job.run)
        tags = {"workflow": job.command, "git_commit": stored.git_commit, "parent": stored.parent}
        store.begin(job.config.model_dump(mode="json"), {key: str(value) for key, value in tags.items() if value})
        sinks.append(store)
    return sinks


def _store(run: RunFolder, config: ExperimentConfig, reporter: Reporter) -> Any:
    """The run in the MLflow store that the config names; None where it names none."""
    from transfercli.training.tracking.mlflow_store import MlflowRun, check_installed, store_address

    if config.tracking.mlflow is None:
        return None
    check_installed()
    return MlflowRun(store_address(config.tracking.mlflow), run, reporter)


def track_evaluation(run: StoredRun, place: Path, evaluation: Evaluation, reporter: Reporter) -> None:
    """Tell of an evaluation whose files are in `place`. It is done: what cannot be told is a warning."""
    from transfercli.training.tracking.tensorboard import write_evaluation

    config, step = run.config, run.record.best_epoch or 0
    matrix = place / "confusion_matrix.png"
    if config.tracking.tensorboard:
        write_evaluation(run.folder, place.name, evaluation.metrics, matrix.read_bytes(), step)
    try:
        store = _store(run.folder, config, reporter)
    except UsageError as error:
        reporter.warning(f"{error.message}; {error.hint}")
        return
    if store is not None:
        store.metrics({f"{place.name}_{name}": value for name, value in evaluation.metrics.items()}, step)
        store.files([place / name for name in ("report.html", "metrics.json", matrix.name)], f"evaluation/{place.name}")
