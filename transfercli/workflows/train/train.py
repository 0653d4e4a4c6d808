"""Workflow of `pretrain` and `finetune`, which differ only in the defaults of the resolved config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from transfercli.config.schema import ExperimentConfig
from transfercli.config.types import MULTILABEL, REGRESSION
from transfercli.data.clusters import count_clusters
from transfercli.data.load import load_dataset
from transfercli.data.sources.keras_datasets import is_keras
from transfercli.data.sources.table_columns import config_columns, write_columns
from transfercli.evaluation.gates import from_config
from transfercli.evaluation.slices import table_slices
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.listing import continue_command, make_latest
from transfercli.runs.record import status_of
from transfercli.training.distribution.processes import processes
from transfercli.training.distribution.watch import explained_errors
from transfercli.training.keras_import import check_backend
from transfercli.workflows.confidence import check_two_classes, report_confidence, report_label_confidence
from transfercli.workflows.initial_weights import check_weights, needs_download
from transfercli.workflows.new_model import Parent, find_parent, labels_for, new_classifier, with_file_head
from transfercli.workflows.recorded_weights import with_recorded_weights
from transfercli.workflows.train.continuation import (
    ContinueRequest,
    check_same_images,
    continuing_job,
    copy_earlier_epochs,
)
from transfercli.workflows.train.disk_space import max_run_bytes, reserve_run_space
from transfercli.workflows.train.distribution import check_launch, read_together, taking_part
from transfercli.workflows.train.job import Job, TrainRequest, resolve_job, with_head_of
from transfercli.workflows.train.learnt_before import LearntBefore, images_learnt_before
from transfercli.workflows.train.results import KEPT_METRICS, CostEstimate, PhaseCost, TrainResult
from transfercli.workflows.train.run_start import begin_run, resume_hints
from transfercli.workflows.train.setup import Setup, set_up, warn_of_random_frozen_layers
from transfercli.workflows.train.stopwatch import Stopwatch
from transfercli.workflows.train.tracking import check_tracking, track_training
from transfercli.workflows.train.training_data import data_request, draw_batch, with_recorded_corrections
from transfercli.workflows.train.unknown import fit_unknown
from transfercli.workflows.train.watching import watching_others

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset
    from transfercli.models.classifier import Classifier
    from transfercli.transfer.transplant import Transplant


def train(request: TrainRequest | ContinueRequest, reporter: Reporter) -> TrainResult | CostEstimate:
    """Train a new run, resume one, or go on with a completed one; with `dry_run` only estimate the cost.

    Nothing is written before the config and the data are checked.
    """
    job = continuing_job(request) if isinstance(request, ContinueRequest) else resolve_job(request, reporter)
    with job.loaded.placing(), watching_others(job, reporter):
        if job.config.compute.distribution != "none":
            prepare_backend(job.config)  # the processes join before the first of them takes the lock
        with taking_part(job, request.run_id, request.wait, reporter) as own:
            return train_job(own, reporter, dry_run=request.dry_run)


def read_data(job: Job, reporter: Reporter) -> Dataset:
    """Return the data set of a job. Raises `DataError` if the job goes on with a run whose images were others."""
    experiment = job.run.path.parent
    earlier = None if processes().is_chief else job.runs / experiment.name  # another process works in a copy
    request = data_request(job.config, experiment, earlier)
    if job.run.record.exists() and job.run.corrections.exists():  # decisions made since are for the next run
        request = replace(request, config=with_recorded_corrections(request.config, job.run))
    dataset = load_dataset(request, reporter)
    check_same_images(job, dataset)
    return dataset


def train_job(
    job: Job, reporter: Reporter, *, read: Callable[[Job, Reporter], Dataset] = read_data, dry_run: bool = False
) -> TrainResult | CostEstimate:
    """Train the run of a job; the caller holds the lock of its experiment.

    read: returns the data set of the job, which may have been read before. dry_run: only estimate the cost.
    """
    watch = Stopwatch()
    check_tracking(job.config)
    check_backend()
    for warning in job.warnings:
        reporter.warning(warning)
    with resume_hints(job, reporter), explained_errors():
        finished = finished_result(job)
        if finished is not None:
            reporter.info(f"{job.run.label} is complete already; this is its result")
            return finished
        prepared = prepare(job, watch, reporter, read=read, dry_run=dry_run)
        job, setup, learnt_before = prepared.job, prepared.setup, prepared.learnt_before
        slice_names = table_slices(job.config.evaluation.slices)
        columns = config_columns(job.config.data, slice_names)
        reserve_run_space(job, setup)
        if dry_run:
            return estimate(setup, learnt_before)
        begin_run(job, setup, prepared.parent, prepared.report, learnt_before, reporter)
        if columns:
            write_columns(job.run.slices, columns, slice_names)
        with record.recording_status(job.run), explained_errors(), track_training(job, setup, reporter):
            labels = tuple(setup.classifier.labels)
            draw_batch(job.run.batch, setup.builder.on_images().batches, labels, grey=job.config.data.channels == 1)
            with watch("train"):
                train_epochs(job, setup, reporter)
            check_result(job, setup, reporter)
            with watch("train"):
                fit_unknown(job, setup, reporter)
            return finish(job, setup, watch)


# -- steps


@dataclass(frozen=True)
class Prepared:
    """Training that is ready to start. job: with the layers of the head; report: of the copied tensors, or None."""

    job: Job
    setup: Setup
    parent: Parent
    report: Transplant | None
    learnt_before: LearntBefore


def prepare(
    job: Job,
    watch: Stopwatch,
    reporter: Reporter,
    *,
    read: Callable[[Job, Reporter], Dataset] = read_data,
    dry_run: bool = False,
) -> Prepared:
    """Read the images, build the classifier with its initial weights, and set up the training; write nothing.

    read, dry_run: as in `train_job`.
    """
    parent = find_parent(job.config, job.runs, recorded_parent(job))
    initial = config_of_weights(job, reporter)
    without_weights = dry_run and needs_download(initial)  # a cost does not depend on the values of weights
    if without_weights:
        reporter.info("dry run: the weights are not in the cache and are not downloaded for it")
    else:
        check_weights(initial, reporter)
        parent = with_file_head(parent, initial, reporter)
    if is_keras(job.config.data.train):
        prepare_backend(job.config)  # before Keras is imported for its data sets
    with watch("ingest"):
        dataset = read_together(lambda: read(job, reporter), job.config, reporter)
    labels = labels_for(initial, parent, dataset.labels, reporter)
    from_config(job.config.evaluation.gates, labels, job.config.task)  # an error is raised now, not after the training
    check_two_classes(job.config.evaluation, labels)
    prepare_backend(job.config)
    inherited = images_learnt_before(job, parent, dataset, reporter)
    classifier, report = new_classifier(initial, parent, labels, reporter, random=without_weights)
    give_all_the_same_weights(classifier)
    known = inherited.by_base
    setup = set_up(job, dataset, classifier, watch, reporter, learnt_by_base=known, dry_run=dry_run)
    if not without_weights:
        warn_of_random_frozen_layers(setup, report, reporter)
    return Prepared(with_head_of(job, setup.classifier), setup, parent, report, inherited.counts)


def finished_result(job: Job) -> TrainResult | None:
    """Return the result of a run that is complete already, else None."""
    if not job.run.record.exists() or status_of(job.run) != "completed":
        return None
    return TrainResult.read(job.run)


def config_of_weights(job: Job, reporter: Reporter) -> ExperimentConfig:
    """Return the config that the initial weights follow from: of a run that is resumed, with the recorded commit."""
    if not job.run.record.exists():
        return job.config
    return with_recorded_weights(job.config, record.RunRecord.read(job.run), reporter)


def recorded_parent(job: Job) -> str | None:
    """Return the recorded parent of a run that is resumed, or None."""
    return record.RunRecord.read(job.run).parent if job.run.record.exists() else None


def prepare_backend(config: ExperimentConfig) -> None:
    from transfercli.training.backend import prepare
    from transfercli.training.distribution.start import check_batch_size

    check_launch(config.compute)
    prepare(config.compute, config.seed, distributed=True)
    check_batch_size(config.data.batch_size)


def give_all_the_same_weights(classifier: Classifier) -> None:
    """Give all processes that train together the initial weights of the first one."""
    from transfercli.training.distribution.weights import share_weights

    share_weights(classifier)


def train_epochs(job: Job, setup: Setup, reporter: Reporter) -> None:
    """Train to the end of the plan, after the last complete epoch if there is one."""
    from transfercli.training import history

    checkpoints, trainer = setup.checkpoints, setup.trainer
    copy_earlier_epochs(job, setup, reporter)
    if checkpoints.exists():
        last, best = checkpoints.newest(reporter)
        history.rewind(job.run.metrics, last.progress["line"])
        trainer.resume(last, best)
        reporter.info(f"resuming after epoch {last.progress['epoch']} of {setup.plan.epochs}")
    else:
        history.rewind(job.run.metrics, None)
    trainer.run()


def check_result(job: Job, setup: Setup, reporter: Reporter) -> None:
    """Warn of a finished training that diverged or learned nothing, and report its calibration.

    A warning names the key to change.
    """
    from transfercli.evaluation.confidence.trust import read_trust
    from transfercli.evaluation.multilabel.trust import read_label_trust
    from transfercli.training import history
    from transfercli.training.checks import still_improving, warn_of_result
    from transfercli.training.objectives import OBJECTIVES

    best_epoch, classifier = setup.trainer.progress.best_epoch, setup.classifier
    lines = history.read(job.run.metrics)
    guess = OBJECTIVES[classifier.task].guessing(setup.builder.inputs.training.targets, len(classifier.labels))
    warn_of_result(setup.plan, lines, best_epoch, guess, reporter)
    if still_improving(setup.plan, lines):
        further = continue_command(job.run, job.runs, job.command, max(1, setup.plan.epochs // 2))
        reporter.info(f"the validation loss still fell in the last epoch; to train further epochs: {further}")
    if classifier.task == REGRESSION:
        return
    if classifier.task == MULTILABEL:
        if label_trust := read_label_trust(job.run.calibration):
            report_label_confidence(label_trust, job.config.evaluation, reporter)
    elif trust := read_trust(job.run.calibration):
        refitted = any("cross_validated" in line for line in lines if line["epoch"] == best_epoch)
        report_confidence(trust, job.config.evaluation, reporter, refitted=refitted)


def finish(job: Job, setup: Setup, watch: Stopwatch) -> TrainResult:
    """Draw the training curves, complete the record, and return the result."""
    from transfercli.evaluation.report.plots import history_png
    from transfercli.training import history

    lines = history.read(job.run.metrics)
    best = next(line for line in lines if line["epoch"] == setup.trainer.progress.best_epoch)
    history_png(job.run.history, lines, best["epoch"], f"training of {job.run.label}")
    metrics = {key: best[key] for key in (*KEPT_METRICS, "accuracy", "loss") if key in best}
    decided = [line["adaptation"] for line in lines if "adaptation" in line]
    facts = {
        "status": "completed",
        "finished": record.utc_now(),
        "best_epoch": best["epoch"],
        "epochs": lines[-1]["epoch"],
        "cross_validated": best.get("cross_validated"),
        "metrics": metrics,
        "seconds": watch.all(),
        "cache": setup.cache_counts(),
        **({"adaptation": decided[-1]} if decided else {}),
    }
    if job.becomes_latest:
        make_latest(job.run, facts)
    else:
        record.update(job.run, **facts)
    return TrainResult.read(job.run)


def estimate(setup: Setup, learnt_before: LearntBefore) -> CostEstimate:
    """Return the estimated cost of each phase, from timed steps; no run is started."""
    from transfercli.training.estimate import peak_memory, phase_costs
    from transfercli.transfer.dry_run import DryRunBuilder

    builder = setup.builder
    assert isinstance(builder, DryRunBuilder)
    parameters = setup.classifier.model.count_params()  # before LoRA adds factors
    training_costs = phase_costs(setup.trainer)
    numbers = {name: count_clusters(split.groups) for name, split in setup.dataset.splits.items()}
    groups = {name: number for name, number in numbers.items() if number is not None}
    return CostEstimate(
        images={name: len(split) for name, split in setup.dataset.splits.items()},
        classes=tuple(setup.classifier.labels),
        parameters=parameters,
        phases=tuple(
            PhaseCost(**cost.as_json(), features=round(features.seconds, 1), cache_bytes=features.bytes)
            for cost, features in zip(training_costs, builder.costs, strict=False)
        ),
        run_bytes=max_run_bytes(setup),
        peak_memory_bytes=peak_memory(),
        learnt_before=learnt_before,
        groups=groups or None,
    )
