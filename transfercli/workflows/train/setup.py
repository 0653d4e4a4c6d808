"""Setup of a training: plan, trainer, checkpoints and caches for a job, its data and its classifier."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.config.types import REGRESSION
from transfercli.data.cache.images import cache_root
from transfercli.data.cache.network_disk import warn_of_network_disk
from transfercli.errors import ConfigError
from transfercli.reporting import Reporter
from transfercli.runs import record
from transfercli.runs.record import RunRecord
from transfercli.text import counted
from transfercli.workflows.confidence import warn_of_abstention
from transfercli.workflows.fitted_trust import write_fitted_trust
from transfercli.workflows.resolved_config import architecture, batchnorm_trains, geometry_of, head_of
from transfercli.workflows.train.distribution import report_share, share_of
from transfercli.workflows.train.learnt_before import without_changed_copies
from transfercli.workflows.train.training_data import class_weights, report_class_counts, sampled_weights, with_labels

if TYPE_CHECKING:
    from transfercli.config.schema import ExperimentConfig
    from transfercli.data.batching.augment import Augment
    from transfercli.data.batching.batches import Batches
    from transfercli.data.batching.step_augmentation import StepAugmentation
    from transfercli.data.dataset import Dataset
    from transfercli.models.classifier import Classifier
    from transfercli.rows import Rows
    from transfercli.training.checkpoints import Checkpoint, Checkpoints
    from transfercli.training.phases import HeldOut, Phase, PhaseSetup, SetUpPhase
    from transfercli.training.progress import Plan, Progress, TimeLimit
    from transfercli.training.trainer import Trainer
    from transfercli.transfer.choice import Tried
    from transfercli.transfer.features.caching_decisions import CachingDecisions
    from transfercli.transfer.features.features import FeatureCache
    from transfercli.transfer.phase_builder import PhaseBuilder
    from transfercli.transfer.training_inputs import TrainingInputs
    from transfercli.transfer.transplant import Transplant
    from transfercli.workflows.train.job import Job
    from transfercli.workflows.train.stopwatch import Stopwatch


@dataclass(frozen=True)
class Setup:
    """All parts of a training. features: None if the cache is off; candidates: what `auto` tried, for run.json."""

    dataset: Dataset
    classifier: Classifier
    plan: Plan
    builder: PhaseBuilder
    trainer: Trainer
    checkpoints: Checkpoints
    features: FeatureCache | None
    candidates: list[dict[str, Any]]

    def cache_counts(self) -> dict[str, dict[str, int]]:
        """Return hits and misses so far: {"images", "features"} -> {"hits", "misses"}."""
        images, features = self.dataset.cache, self.features
        return {
            "images": {"hits": images.hits, "misses": images.misses},
            "features": {"hits": features.hits if features else 0, "misses": features.misses if features else 0},
        }


def set_up(
    job: Job,
    dataset: Dataset,
    classifier: Classifier,
    watch: Stopwatch,
    reporter: Reporter,
    *,
    learnt_by_base: frozenset[str] = frozenset(),
    dry_run: bool = False,
) -> Setup:
    """Return the setup of a job: phases, caches, checkpoints and history, connected to a trainer. Writes nothing.

    learnt_by_base: as in `TrainingInputs`. dry_run: phases are set up on a single batch, to measure their time.
    """
    from transfercli.models.tensor_names import read_tensors
    from transfercli.training import history
    from transfercli.training.checkpoints import Checkpoints
    from transfercli.training.distribution.processes import processes
    from transfercli.training.frozen import constant_tensors
    from transfercli.training.trainer import Trainer
    from transfercli.transfer.dry_run import DryRunBuilder
    from transfercli.transfer.phase_builder import PhaseBuilder
    from transfercli.transfer.strategies import chooses_normalisation

    features = feature_cache(job.config, reporter, job.run.path)
    builder_class = DryRunBuilder if dry_run else PhaseBuilder
    used = without_changed_copies(job, dataset, reporter)
    inputs = training_inputs(job.config, used, classifier.labels, reporter, learnt_by_base)
    builder = builder_class(classifier, inputs, features, reporter)
    builder.decisions = caching_decisions(job, dry_run=dry_run)
    if chooses_normalisation(job.config, head_of(job.config)) and not (dry_run or job.run.record.exists()):
        with watch("features"):
            set_normalisation(builder, job.config)
        classifier = builder.classifier
    with watch("features"):  # `auto` measures here, and most of that time computes features
        plan, candidates = plan_for(job, builder, reporter)
    report_plan(job.config, plan, builder, dataset, reporter)
    if dataset.auxiliary.related is None and any(phase.kind == "train" for phase in plan.phases):
        builder.aligns = False  # these phases see the labelled images where they are
    if any(phase.kind == "blend" for phase in plan.phases):
        builder.start = read_tensors(classifier)
    checkpoints = Checkpoints(job.run.checkpoints, constant_tensors(classifier, plan))

    def keep(progress: Progress, checkpoint: Checkpoint, is_best: bool) -> None:
        if is_best:  # before the checkpoint: after a kill between the two, the epoch is repeated, and this too
            assert trainer.validated is not None, "an epoch is validated before it is kept"
            keep_answers(job, builder, trainer.validated)
        if processes().is_chief:
            checkpoints.save(progress.epoch, checkpoint, is_best=is_best)
        history.append(job.run.metrics, progress.line)

    validation = builder.inputs.validation
    timed = _timed(builder, watch)
    trainer = Trainer(classifier, timed, validation.targets, plan, reporter, keep, validation.groups)
    keep_precision(job, trainer, dry_run=dry_run)
    return Setup(dataset, classifier, plan, builder, trainer, checkpoints, features, candidates)


def keep_precision(job: Job, trainer: Trainer, *, dry_run: bool = False) -> None:
    """Give a trainer the recorded checks of the precision, and record new ones unless this is a dry run."""
    if job.run.record.exists():
        trainer.precision_checks = RunRecord.read(job.run).precision_checks

    def keep() -> None:
        update_begun_run(job, precision=trainer.plan.precision, precision_checks=trainer.precision_checks)

    if not dry_run:
        trainer.precision_checked = keep


def caching_decisions(job: Job, *, dry_run: bool = False) -> CachingDecisions:
    """Return the decisions that a resumed run recorded, or none of a new run yet.

    New ones are added to its record, unless this is a dry run.
    """
    from transfercli.training.devices import device_name
    from transfercli.transfer.features.caching_decisions import CachingDecisions
    from transfercli.transfer.features.device_speeds import speeds_of

    if not job.run.record.exists():
        decisions = CachingDecisions(speeds_of(device_name()))
    elif (recorded := RunRecord.read(job.run).caching) is not None:
        decisions = CachingDecisions.parse(recorded, f"{job.run.record} is damaged: caching")
    else:  # of an earlier version, which knew one kind of device
        decisions = CachingDecisions()
    if not dry_run:
        decisions.record = lambda caching: update_begun_run(job, caching=caching)
    return decisions


def update_begun_run(job: Job, **facts: Any) -> None:
    """Set keys of the run's record, unless there is none: a new run records all decisions when it begins."""
    if job.run.record.exists():
        record.update(job.run, **facts)


def report_plan(
    config: ExperimentConfig, plan: Plan, builder: PhaseBuilder, dataset: Dataset, reporter: Reporter
) -> None:
    """Warn of a plan that does not fit the images, and report how batches are shared out over devices."""
    from transfercli.training.checks import warn_of_plan

    warn_of_unused_images(plan, dataset, reporter)
    if any(phase.kind == "train" for phase in plan.phases):
        report_share(config, len(builder.inputs.training), reporter)
    images = {name: len(split) for name, split in dataset.splits.items()}
    warn_of_plan(plan, config.data.batch_size, images, reporter)
    refitted = any(phase.kind == "refit" and not phase.epochs for phase in plan.phases)  # all labelled images score it
    warn_of_abstention(config.evaluation, scored_images(builder, plan), reporter, refitted=refitted)


def scored_images(builder: PhaseBuilder, plan: Plan) -> int:
    """Return the number of images that score the run: of a refit, all labelled ones that can be held out."""
    from transfercli.transfer.probe.solved_head import labelled_splits, new_to_base

    splits, validation = labelled_splits(builder), len(builder.inputs.validation)
    if not any(phase.kind == "refit" and not phase.epochs for phase in plan.phases):
        return validation
    held_out = new_to_base(splits, builder.inputs.learnt_by_base)
    return sum(map(len, splits)) if held_out is None else int(held_out.sum()) or validation


def keep_answers(job: Job, builder: PhaseBuilder, scored: HeldOut) -> None:
    """Write the answers that score the run, and the calibration, thresholds and conformal scores of them."""
    from transfercli.evaluation.held_out import write_held_out
    from transfercli.models.tasks.standardisation import Standardisation, write_standardisation

    logits, targets, labels = scored.logits, scored.targets, builder.classifier.labels
    config = job.config
    if config.task == REGRESSION:
        write_standardisation(job.run.calibration, Standardisation.of(builder.inputs.training.targets))
    else:
        write_fitted_trust(job.run.calibration, config.task, logits, targets, labels, config.evaluation, scored.groups)
    write_held_out(job.run.held_out, scored_paths(builder, scored), scored.targets, scored.logits)


def scored_paths(builder: PhaseBuilder, scored: HeldOut) -> tuple[str, ...]:
    """Return the paths of the images that a score is of."""
    if scored.rows is None:
        return builder.inputs.validation.paths
    paths = builder.inputs.training.paths + builder.inputs.validation.paths
    return tuple(paths[row] for row in scored.rows.tolist())


def set_normalisation(builder: PhaseBuilder, config: ExperimentConfig) -> None:
    """Give the builder a classifier whose head has the normalisation that cross-validation chooses, on the same base.

    It is part of the network, so it is chosen before the phases.
    """
    from transfercli.models.classifier import build_classifier
    from transfercli.training.distribution.agreement import from_chief
    from transfercli.transfer.probe.solved_head import normalisation_of

    classifier, own = builder.classifier, normalisation_of(builder)
    chosen = from_chief(lambda: own)
    if chosen != classifier.normalisation:
        head = config.model.head.model_copy(update={"taps": list(classifier.taps), "normalisation": chosen})
        model = config.model.model_copy(update={"head": head})
        shape = architecture(config.model_copy(update={"model": model}), classifier.labels)
        builder.classifier = build_classifier(shape, classifier.base)


def _timed(builder: PhaseBuilder, watch: Stopwatch) -> SetUpPhase:
    def set_up_phase(phase: Phase) -> PhaseSetup:
        with watch("features"):
            return builder(phase)

    return set_up_phase


def plan_for(job: Job, builder: PhaseBuilder, reporter: Reporter) -> tuple[Plan, list[dict[str, Any]]]:
    """Return the plan and the candidates that `auto` tried, [] without.

    The phases are those of the config's strategy, or the recorded ones of a resumed run, for which nothing is tried.
    Raises `ConfigError` if a phase names a layer that the base does not have.
    """
    from transfercli.training.distribution.agreement import from_chief
    from transfercli.training.distribution.processes import processes
    from transfercli.training.frozen import layers_of
    from transfercli.training.phases import recorded_phases
    from transfercli.training.precision.steps import step_precision
    from transfercli.training.progress import Plan
    from transfercli.transfer import choice
    from transfercli.transfer.strategies import needs_measuring, phases_of

    config, classifier = job.config, builder.classifier
    tried, limit = list[choice.Tried](), None
    if job.run.record.exists() and (recorded := RunRecord.read(job.run).phases):
        phases = recorded_phases(recorded)
    elif job.phases:
        phases = list(job.phases)
    elif needs_measuring(config):
        phases, tried, limit = choose_phases(config, builder, reporter)
    else:
        phases = phases_of(config, tuple(classifier.stages))
    if processes().count > 1:  # those of the first process, as measured times and solutions differ
        entries = [asdict(phase) for phase in phases]
        phases = recorded_phases(from_chief(lambda: entries))
    for number, phase in enumerate(phases):
        try:
            layers_of(classifier, phase)
        except ConfigError as error:
            key = f"transfer.phases[{number}]" if config.transfer.phases else "transfer"
            raise ConfigError(f"{key}.{error.message}", error.hint) from error
    updates_batchnorm, chosen = batchnorm_trains(config.model), config.compute.precision == "auto"
    if job.run.record.exists():
        precision = RunRecord.read(job.run).precision
    else:
        precision = step_precision(config.compute, classifier, phases, batchnorm_trains=updates_batchnorm)
    plan = Plan(tuple(phases), config.training, config.seed, precision, updates_batchnorm, limit, chosen)
    return plan, choice.as_json(tried)


def choose_phases(
    config: ExperimentConfig, builder: PhaseBuilder, reporter: Reporter
) -> tuple[list[Phase], list[Tried], TimeLimit | None]:
    """Return the phases of `auto`, the heads that it tried, and with a budget in seconds its limit."""
    from transfercli.training.distribution.agreement import from_chief
    from transfercli.training.progress import TimeLimit
    from transfercli.transfer import choice
    from transfercli.transfer.auto import Measurements, explanation
    from transfercli.transfer.measuring import measure
    from transfercli.transfer.strategies import phases_of

    started, in_seconds = time.perf_counter(), not isinstance(config.transfer.budget, str)
    measured, limit = measure(builder, config.transfer.budget), None
    own = asdict(measured)
    measured = Measurements(**from_chief(lambda: own))  # each process measures other times
    tried = choice.choose_head(builder, reporter, started + measured.budget if in_seconds else None)
    measured = replace(measured, aligned=builder.aligned)
    if in_seconds:
        measured = replace(measured, spent=time.perf_counter() - started)
    phases = phases_of(config, tuple(builder.classifier.stages), measured, choice.chosen_head(tried))
    tuned = next((phase for phase in phases if phase.kind == "train"), None)
    if in_seconds and tuned:
        limit = TimeLimit(started + measured.budget, measured.ending_seconds(str(tuned.unfreeze)))
    reporter.info(choice.in_words(tried, choice.repeats_of(measured.images, in_seconds=in_seconds)))
    reporter.info(explanation(measured, phases))
    return phases, tried, limit


def feature_cache(config: ExperimentConfig, reporter: Reporter, run: Path | None = None) -> FeatureCache | None:
    """Return the feature cache of a config, or None if it is off; run: the folder of the run that trains."""
    from transfercli.transfer.features.features import FeatureCache

    compute = config.compute
    if compute.cache == "off":
        return None
    pixels, root = geometry_of(config).name, cache_root(compute)
    warn_of_network_disk(root, reporter)
    return FeatureCache(root, int(compute.cache_max_gb * 1e9), pixels, reporter, run)


def training_inputs(
    config: ExperimentConfig,
    dataset: Dataset,
    labels: tuple[str, ...],
    reporter: Reporter,
    learnt_by_base: frozenset[str] = frozenset(),
) -> TrainingInputs:
    """Return the inputs that all phases share: splits, batches, augmentation, class weights and precision.

    learnt_by_base: as in `TrainingInputs`.
    """
    from transfercli.data.batching.augment import build
    from transfercli.data.batching.batches import SAMPLINGS
    from transfercli.training.precision.native import feature_precision
    from transfercli.transfer.training_inputs import TrainingInputs

    training, validation = (with_labels(dataset.splits[name], labels) for name in ("train", "validation"))
    auxiliary = dataset.auxiliary
    weights = class_weights(config.training.class_weights, training)
    report_class_counts(training, weights, config.training.sampling, reporter)

    share = share_of(config)

    def make_batches(source: Rows, augment: Augment | StepAugmentation | None) -> Batches:
        batches_class, size = SAMPLINGS[config.training.sampling], config.data.batch_size
        return batches_class(
            source, training.targets, size, seed=config.seed, augment=augment, class_weights=weights, share=share
        )

    return TrainingInputs(
        training,
        validation,
        make_batches,
        config.augmentation,
        build(config.augmentation, len(labels)),
        sampled_weights(weights, config.training.sampling, training),
        config.seed,
        feature_precision(config.compute),
        batchnorm_trains(config.model),
        config.compute.cache == "require",
        unlabelled=auxiliary.unlabelled,
        related=None if auxiliary.related is None else with_labels(auxiliary.related, labels),
        domains=auxiliary.domains,
        align=config.transfer.align,
        learnt_by_base=learnt_by_base,
    )


def warn_of_unused_images(plan: Plan, dataset: Dataset, reporter: Reporter) -> None:
    """Warn of auxiliary images that no phase uses: only a solved head does."""
    splits = dataset.auxiliary.splits
    if splits and not any(phase.kind in ("probe", "refit") for phase in plan.phases):
        images = " and ".join(counted(len(split), f"{name} image") for name, split in splits.items())
        reporter.warning(
            f"{images} are not used: no phase solves for the head, which needs a new head without hidden layers on a"
            " base with pretrained weights"
        )


def warn_of_random_frozen_layers(setup: Setup, report: Transplant | None, reporter: Reporter) -> None:
    """Warn of frozen layers with random weights: they are nearly always a mistake, but allowed."""
    from transfercli.training.frozen import trained_layers

    trained = trained_layers(setup.classifier, setup.plan)
    if report is None:
        if not trained:
            reporter.warning("the base has random weights and no phase trains it: its features are random")
        return
    random_layers = [layer for layer in report.fresh_layers if layer not in trained]
    if random_layers:
        reporter.warning(
            f"{', '.join(random_layers)}: not copied, and no phase trains the random weights"
            " (unfreeze them, match the source's channels and sizes, or copy more with model.weights.until)"
        )
