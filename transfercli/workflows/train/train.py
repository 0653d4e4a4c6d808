"""`pretrain` and `finetune`: one recipe; they differ in the defaults that the config's resolution fills in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from transfercli.config.schema import ExperimentConfig
from transfercli.data.load import load_dataset
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.table_columns import config_columns, write_columns
from transfercli.evaluation.gates import from_config
from transfercli.evaluation.slices import table_slices
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.folder import RunFolder, update_latest_link
from transfercli.runs.lock import experiment_lock
from transfercli.runs.record import status_of
from transfercli.workflows.new_model import check_weights, find_parent, labels_for, new_classifier
from transfercli.workflows.train.disk_space import bytes_of_run, leave_room
from transfercli.workflows.train.job import Job, TrainRequest, decide
from transfercli.workflows.train.run_start import begin_run, told_how_to_go_on
from transfercli.workflows.train.setup import Setup, set_up, warn_of_frozen_noise
from transfercli.workflows.train.stopwatch import Stopwatch
from transfercli.workflows.train.tracking import check_tracking, tracked
from transfercli.workflows.train.training_data import data_request, draw_batch

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset

Result = dict[str, Any]


def train(request: TrainRequest, reporter: Reporter) -> Result:
    """Train, or go on training, what the config describes; the contract's result of `pretrain` and `finetune`.

    Nothing is written before the config and the data are known to be good.
    """
    job = decide(request)
    waiting = partial(reporter.progress, "waiting for the lock", 0, 1, "")
    with job.loaded.placing(), experiment_lock(job.run.path.parent, request.wait, waiting):
        return train_job(job, reporter, trial=request.dry_run)


def train_job(job: Job, reporter: Reporter, *, dataset: Dataset | None = None, trial: bool = False) -> Result:
    """The same for a job that is decided, while its experiment's lock is held.

    dataset: of the job, where it has been read already; trial: only estimate.
    """
    watch = Stopwatch()
    check_tracking(job.config)
    if job.overruled:
        reporter.warning(job.overruled)
    with told_how_to_go_on(job, reporter):
        finished = finished_result(job)
        if finished is not None:
            reporter.info(f"{job.run.label} is complete already; this is its result")
            return finished
        parent = find_parent(job.config, job.runs, recorded_parent(job))
        check_weights(job.config, reporter)
        if is_keras(job.config.data.train):
            prepare_backend(job.config)  # before its data sets are imported from Keras
        with watch("ingest"):
            dataset = dataset or read_data(job, reporter)
        labels = labels_for(job.config, parent, dataset.labels)
        from_config(job.config.evaluation.gates, labels)  # known now, not when it is trained and evaluated
        sliced = table_slices(job.config.evaluation.slices)
        columns = config_columns(job.config.data, sliced)
        prepare_backend(job.config)
        classifier, report = new_classifier(job.config, parent, labels, reporter)
        setup = set_up(job, dataset, classifier, watch, reporter, trial=trial)
        warn_of_frozen_noise(setup, report, reporter)
        leave_room(job, setup)
        if trial:
            return estimate(setup)
        begin_run(job, setup, parent, report, reporter)
        if columns:
            write_columns(job.run.slices, columns, sliced)
        with record.recording_status(job.run), tracked(job, setup, reporter):
            draw_batch(job.run.batch, setup.builder.on_images().batches, labels, grey=job.config.data.channels == 1)
            with watch("train"):
                train_epochs(job, setup, reporter)
            return finish(job, setup, watch)


# -- the stages


def finished_result(job: Job) -> Result | None:
    """The result of a run that is complete already, else None."""
    if not job.run.record.exists() or status_of(job.run) != "completed":
        return None
    return result_of(job.run)


def recorded_parent(job: Job) -> str | None:
    """The run whose weights a run that goes on has started from."""
    return record.RunRecord.read(job.run).parent if job.run.record.exists() else None


def result_of(run: RunFolder) -> Result:
    stored = record.RunRecord.read(run)
    return {
        "run": str(run.path),
        "status": stored.status,
        "best_epoch": stored.best_epoch,
        "metrics": stored.metrics,
        "seconds": stored.seconds,
        "cache": stored.cache,
    }


def read_data(job: Job, reporter: Reporter) -> Dataset:
    return load_dataset(data_request(job.config, job.run.path.parent), reporter)


def prepare_backend(config: ExperimentConfig) -> None:
    from transfercli.training.backend import prepare

    prepare(config.compute, config.seed)


def train_epochs(job: Job, setup: Setup, reporter: Reporter) -> None:
    """Train to the end of the plan, from the last whole epoch where there is one."""
    from transfercli.training import history
    from transfercli.training.checks import warn_of_result

    checkpoints, trainer = setup.checkpoints, setup.trainer
    if checkpoints.exists():
        last, best = checkpoints.newest(reporter)
        history.rewind(job.run.metrics, last.progress["line"])
        trainer.resume(last, best)
        reporter.info(f"going on after epoch {last.progress['epoch']} of {setup.plan.epochs}")
    else:
        history.rewind(job.run.metrics, None)
    progress, classes = trainer.run(), len(setup.classifier.labels)
    warn_of_result(setup.plan, history.read(job.run.metrics), progress.best_epoch, classes, reporter)


def finish(job: Job, setup: Setup, watch: Stopwatch) -> Result:
    from transfercli.evaluation.report.plots import history_png
    from transfercli.training import history

    lines = history.read(job.run.metrics)
    best = next(line for line in lines if line["epoch"] == setup.trainer.progress.best_epoch)
    history_png(job.run.history, lines, best["epoch"])
    metrics = {key: best[key] for key in ("val_accuracy", "val_loss", "accuracy", "loss")}
    record.update(
        job.run,
        status="completed",
        finished=record.utc_now(),
        best_epoch=best["epoch"],
        epochs=lines[-1]["epoch"],
        metrics=metrics,
        seconds=watch.all(),
        cache=setup.cache_counts(),
    )
    update_latest_link(job.run)
    return result_of(job.run)


def estimate(setup: Setup) -> Result:
    """`--dry-run`: what each phase will cost, from timed steps; no run is begun."""
    from transfercli.training.estimate import peak_memory, phase_costs
    from transfercli.transfer.dry_run import DryRunBuilder

    builder = setup.builder
    assert isinstance(builder, DryRunBuilder)
    trained = phase_costs(setup.trainer)
    costs = [
        {**cost.as_json(), "features": round(features.seconds, 1), "cache_bytes": features.bytes}
        for cost, features in zip(trained, builder.costs, strict=False)
    ]
    return {
        "run": None,
        "status": "dry-run",
        "images": {name: len(split) for name, split in setup.dataset.splits.items()},
        "classes": list(setup.classifier.labels),
        "parameters": setup.classifier.model.count_params(),
        "phases": costs,
        "seconds": {stage: round(sum(cost[stage] for cost in costs), 1) for stage in ("features", "train")},
        "cache_bytes": sum(cost["cache_bytes"] for cost in costs),
        "run_bytes": bytes_of_run(setup),
        "peak_memory_bytes": peak_memory(),
    }
