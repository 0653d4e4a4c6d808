"""`pretrain` and `finetune`: one recipe; they differ in the defaults that the config's resolution fills in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from transfercli.config.loader import dump
from transfercli.config.schema import ExperimentConfig
from transfercli.data.keras_sets import is_keras
from transfercli.data.load import load_dataset
from transfercli.data.manifest import read_assignments, write_assignments, write_manifest
from transfercli.errors import ConfigError, DataError, Interrupted
from transfercli.evaluation.gates import from_config
from transfercli.events import Events
from transfercli.runs import atomic, record
from transfercli.runs.folder import (
    RunFolder,
    has_checkpoint,
    point_latest,
    read_json,
    remove_results,
    splits_file,
    status_of,
)
from transfercli.runs.lock import experiment_lock
from transfercli.workflows.data import class_weights, draw_batch, fingerprint, relabelled, tell_classes
from transfercli.workflows.job import Job, TrainRequest, decide
from transfercli.workflows.model import (
    Source,
    batchnorm_trains,
    find_source,
    image_size,
    labels_for,
    new_classifier,
)

if TYPE_CHECKING:
    from transfercli.data.dataset import Dataset
    from transfercli.models.classifier import Classifier
    from transfercli.training.checkpoints import Checkpoint, Checkpoints
    from transfercli.training.trainer import Plan, Progress, Trainer
    from transfercli.transfer.transplant import Transplant

Result = dict[str, Any]


@dataclass
class Stopwatch:
    """Seconds a stage, for the result."""

    started: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=lambda: {"ingest": 0.0, "features": 0.0, "train": 0.0})

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - begun

    def all(self) -> dict[str, float]:
        total = time.perf_counter() - self.started
        return {stage: round(value, 3) for stage, value in {**self.seconds, "total": total}.items()}


def train(request: TrainRequest, events: Events) -> Result:
    """Train, or go on training, what the config describes; the contract's result of `pretrain` and `finetune`.

    Nothing is written before the config and the data are known to be good.
    """
    watch = Stopwatch()
    job = decide(request)
    waiting = partial(events.progress, "waiting for the lock", 0, 1, "")
    with job.loaded.placing(), experiment_lock(job.run.path.parent, request.wait, waiting):
        finished = finished_result(job)
        if finished is not None:
            events.info(f"{job.run.label} is complete already; this is its result")
            return finished
        source = find_source(job.config, job.runs)
        if is_keras(job.config.data.train):
            prepare_backend(job.config)  # before its data sets are imported from Keras
        with watch("ingest"):
            dataset = read_data(job, events)
        labels = labels_for(job.config, source, dataset.labels)
        from_config(job.config.evaluation.gates, labels)  # known now, not when it is trained and evaluated
        backend = prepare_backend(job.config)
        classifier, report = new_classifier(job.config, source, labels, job.folder, events)
        plan = plan_for(job.config, classifier)
        warn_of_frozen_noise(plan, classifier, report, events)
        checkpoints = checkpoints_of(job, plan, classifier)
        trainer = build_trainer(job, plan, classifier, dataset, events, checkpoints)
        if request.dry_run:
            return estimate(trainer, dataset)
        begin_run(job, source, dataset, labels, report, plan, backend, events)
        with record.status_kept(job.run), resume_hint(job):
            draw_batch(job.run.batch, trainer.batches, labels, grey=job.config.data.channels == 1)
            with watch("train"):
                train_epochs(job, trainer, checkpoints, events)
            return finish(job, trainer, dataset, watch)


# -- the stages


def finished_result(job: Job) -> Result | None:
    """The result of a run that is complete already, else None."""
    if not job.run.record.exists() or status_of(job.run) != "completed":
        return None
    return result_of(job.run)


def result_of(run: RunFolder) -> Result:
    facts = read_json(run.record)
    return {
        "run": str(run.path),
        **{key: facts[key] for key in ("status", "best_epoch", "metrics", "seconds", "cache")},
    }


def read_data(job: Job, events: Events) -> Dataset:
    return load_dataset(
        job.config.data,
        job.folder,
        image_size=image_size(job.config),
        compute=job.config.compute,
        assignments=read_assignments(splits_file(job.run.path.parent)),
        events=events,
        seed=job.config.seed,
    )


def prepare_backend(config: ExperimentConfig) -> str:
    from transfercli.training.backend import prepare

    return prepare(config.compute, config.seed)


def plan_for(config: ExperimentConfig, classifier: Classifier) -> Plan:
    """The phases of the config's strategy on this base; a name that is no layer of it is a `ConfigError`."""
    from transfercli.models.classifier import trainable_from
    from transfercli.training.backend import step_precision
    from transfercli.training.trainer import Plan
    from transfercli.transfer.strategies import phases_of

    training = config.training
    stages = tuple(classifier.stages)
    phases = phases_of(config.transfer, training.epochs, training.optimizer.learning_rate, stages)
    for number, phase in enumerate(phases):
        try:
            trainable_from(classifier, phase.unfreeze)
        except ConfigError as error:
            key = f"transfer.phases[{number}]" if config.transfer.phases else "transfer"
            raise ConfigError(f"{key}.{error.message}", error.hint) from error
    return Plan(tuple(phases), training, config.seed, step_precision(config.compute), batchnorm_trains(config.model))


def warn_of_frozen_noise(plan: Plan, classifier: Classifier, report: Transplant | None, events: Events) -> None:
    """A frozen layer with random weights is nearly always a mistake; say so, and let it be."""
    from transfercli.training.frozen import trained_layers

    trained = trained_layers(classifier, plan)
    if report is None:
        if not trained:
            events.warn("the base has random weights and no phase trains it: its features know nothing")
        return
    noise = [layer for layer in report.fresh_layers if layer not in trained]
    if noise:
        events.warn(
            f"{', '.join(noise)} could not be copied, and no phase trains them: they stay random"
            " (unfreeze them, or match the source's channels and sizes)"
        )


def begin_run(
    job: Job,
    source: Source,
    dataset: Dataset,
    labels: tuple[str, ...],
    report: Transplant | None,
    plan: Plan,
    backend: str,
    events: Events,
) -> None:
    """Write what the run is before it trains; a run that goes on has it already and keeps it."""
    run = job.run
    fresh = not run.record.exists()
    if fresh:
        run.path.mkdir(parents=True, exist_ok=True)  # a kill may have come before the record
        atomic.write_text(run.config, dump(job.config))
        atomic.write_json(run.labels, list(labels))
        write_manifest(run.dataset, dataset.records)
        write_assignments(splits_file(run.path.parent), dataset.assignments)
        if report is not None:
            atomic.write_json(run.transplant, report.as_json())
    events.attach_log(run.log)
    if fresh:
        facts = {
            "workflow": job.command,
            "command": job.spelled,
            "config_folder": record.relative_folder(run, job.folder),
            "parent": source.run.label if source.run else None,
            "seed": job.config.seed,
            "git_commit": record.git_commit(job.folder),
            "backend": backend,
            "precision": plan.precision,
            "data": {"fingerprint": fingerprint(dataset), "images": {k: len(v) for k, v in dataset.splits.items()}},
            "cache": cache_counts(dataset),
        }
        record.create(run, facts)
    elif read_json(run.record)["data"]["fingerprint"] != fingerprint(dataset):
        raise DataError(
            f"the data changed since {run.label} started, so it cannot go on to the same result",
            "start a new run, or put the images back",
        )
    else:
        remove_results(run)


def cache_counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    return {
        "images": {"hits": dataset.cache.hits, "misses": dataset.cache.misses},
        "features": {"hits": 0, "misses": 0},
    }


@contextmanager
def resume_hint(job: Job) -> Iterator[None]:
    """A stop on request says how to go on."""
    try:
        yield
    except Interrupted as stop:
        kept = "is kept up to its last whole epoch" if has_checkpoint(job.run) else "had finished no epoch yet"
        raise Interrupted(stop.signum, f"stopped; {job.run.label} {kept}", job.resume_line) from None


def checkpoints_of(job: Job, plan: Plan, classifier: Classifier) -> Checkpoints:
    from transfercli.training.checkpoints import Checkpoints
    from transfercli.training.frozen import never_changing

    return Checkpoints(job.run.checkpoints, never_changing(classifier, plan))


def build_trainer(
    job: Job, plan: Plan, classifier: Classifier, dataset: Dataset, events: Events, checkpoints: Checkpoints
) -> Trainer:
    """The training, ready to start: it keeps a checkpoint and then a line of history an epoch."""
    from transfercli.data.augment import build
    from transfercli.data.batches import SAMPLINGS
    from transfercli.training import history
    from transfercli.training.trainer import Trainer

    def keep(progress: Progress, checkpoint: Checkpoint, is_best: bool) -> None:
        checkpoints.save(progress.epoch, checkpoint, is_best=is_best)
        history.append(job.run.metrics, progress.line)

    labels, config = classifier.labels, job.config
    training = relabelled(dataset.splits["train"], labels)
    weights = class_weights(config.training.class_weights, training)
    tell_classes(training, weights, config.training.sampling, events)
    batches = SAMPLINGS[config.training.sampling](
        training.images,
        training.targets,
        config.data.batch_size,
        seed=config.seed,
        augment=build(config.augmentation, len(labels)),
        class_weights=weights,
    )
    return Trainer(classifier, batches, relabelled(dataset.splits["validation"], labels), plan, events, keep)


def train_epochs(job: Job, trainer: Trainer, checkpoints: Checkpoints, events: Events) -> None:
    """Train to the end of the plan, from the last whole epoch where there is one."""
    from transfercli.training import history

    if checkpoints.exists():
        last = checkpoints.load("last", events)
        history.rewind(job.run.metrics, last.progress["line"])
        checkpoints.point_best(last.progress["best_epoch"])
        trainer.resume(last, checkpoints.load("best"))
        events.info(f"going on after epoch {last.progress['epoch']} of {trainer.plan.epochs}")
    trainer.run()


def finish(job: Job, trainer: Trainer, dataset: Dataset, watch: Stopwatch) -> Result:
    from transfercli.evaluation.plots import history_png
    from transfercli.training import history

    lines = history.read(job.run.metrics)
    history_png(job.run.history, lines)
    best = next(line for line in lines if line["epoch"] == trainer.progress.best_epoch)
    metrics = {key: best[key] for key in ("val_accuracy", "val_loss", "accuracy", "loss")}
    record.update(
        job.run,
        status="completed",
        finished=record.now(),
        best_epoch=best["epoch"],
        epochs=lines[-1]["epoch"],
        metrics=metrics,
        seconds=watch.all(),
        cache=cache_counts(dataset),
    )
    point_latest(job.run)
    return result_of(job.run)


def estimate(trainer: Trainer, dataset: Dataset) -> Result:
    """`--dry-run`: what each phase will cost, from timed steps; nothing is written."""
    from transfercli.training.estimate import phase_seconds

    seconds = phase_seconds(trainer)
    phases = [
        {"unfreeze": phase.unfreeze, "epochs": phase.epochs, "learning_rate": phase.learning_rate, "seconds": value}
        for phase, value in zip(trainer.plan.phases, seconds, strict=True)
    ]
    return {
        "run": None,
        "status": "dry-run",
        "images": {name: len(split) for name, split in dataset.splits.items()},
        "classes": list(trainer.classifier.labels),
        "parameters": trainer.classifier.model.count_params(),
        "phases": phases,
        "seconds": {"train": round(sum(seconds), 1)},
    }
