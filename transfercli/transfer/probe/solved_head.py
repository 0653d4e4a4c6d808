"""Head of a classifier that is solved for a phase: its linear problem, its weights, and its cross-validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from transfercli.config.types import CLASSIFY, ORDINAL, REGRESSION
from transfercli.data.dataset import Split
from transfercli.data.splitting.copy_groups import Sample, units_of
from transfercli.models.classifier import Classifier
from transfercli.models.normalised import Normalisation, normalised
from transfercli.models.surgery import Cut
from transfercli.models.tasks.ordinal import log_probabilities, step_targets
from transfercli.models.tasks.standardisation import Standardisation
from transfercli.reporting import Reporter
from transfercli.rows import ChainedRows, Rows
from transfercli.training.phases import HeldOut, Phase, PhaseSetup
from transfercli.transfer.features.prefix import Prefix
from transfercli.transfer.features.views import Views
from transfercli.transfer.probe.cross_validation import OutOfFold, figures
from transfercli.transfer.probe.families import family_of
from transfercli.transfer.probe.heads import PosedProblem, pose
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem
from transfercli.transfer.probe.normalisation import choose_normalisation
from transfercli.transfer.probe.probe import Probe, keep_absent_classes, keep_absent_labels, sigmoid_unit
from transfercli.transfer.probe.ridge import facts_of, folds_of, solve_ridge
from transfercli.transfer.training_inputs import TrainingInputs

ADAPTATION = "adaptation"  # key of the facts on the use of auxiliary images


class Builder(Protocol):
    """The part of `PhaseBuilder` (`transfer/phase_builder.py`) that solved phases use."""

    classifier: Classifier
    inputs: TrainingInputs
    reporter: Reporter
    start: dict[str, np.ndarray]
    dry_run: bool

    def trained(self, phase: Phase) -> PhaseSetup: ...
    def cut_after_base(self) -> Cut: ...
    def on_features(self, cut: Cut, views: Views | None) -> PhaseSetup: ...
    def prefix_of(self, cut: Cut) -> Prefix: ...
    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Rows: ...
    def with_auxiliary(self, posed: PosedProblem, features: Callable[[Split], Rows]) -> PosedProblem: ...


def solve_head(builder: Builder, head: str, reporter: Reporter, *, validation: bool = False) -> dict[str, Any]:
    """Solve for a head on the training images, assign it to the classifier, and return the facts for `metrics.jsonl`.

    head: a row of `HEADS`, or "". validation: on the validation images too.
    """
    if builder.classifier.task == REGRESSION:
        return _solve_number(builder)
    posed = posed_problem(builder, head, validation=validation)
    if posed.decision:
        posed.decision.report(reporter)
    return assign_head(builder, posed, posed.solve(reporter))


def _solve_number(builder: Builder) -> dict[str, Any]:
    """Solve a ridge regression of standardised numbers on the training images, and assign it; return its facts."""
    split, cut = builder.inputs.training, builder.cut_after_base()
    layers, pooled = layers_of(builder.classifier, cut), builder.features(split, builder.prefix_of(cut))
    features = normalised(pooled.read(np.arange(len(split))), layers.widths, layers.normalisation)
    scale = Standardisation.of(split.targets)
    folds = folds_of(groups_of([split]), len(split), builder.inputs.seed)
    new = np.array([sha256 not in builder.inputs.learnt_by_base for sha256 in split.sha256s])
    head = solve_ridge(features, scale.standardised(split.targets), np.where(new, folds, -1))
    builder.classifier.head.get_layer("logits").set_weights([head.weights[:, None], np.array([head.intercept])])
    return facts_of(head)


def solve_scored_head(builder: Builder, head: str, reporter: Reporter) -> tuple[dict[str, Any], OutOfFold] | None:
    """Solve for a head on training and validation images, and cross-validate it there; arguments as `solve_head`.

    None if no image could be held out: then nothing is assigned.
    """
    posed = posed_problem(builder, head, validation=True)
    scored = posed.solve_scored(reporter)
    if scored and posed.decision:
        posed.decision.report(reporter)
    return scored and (assign_head(builder, posed, scored[0]), _of_classes(builder, posed, scored[1]))


def assign_head(builder: Builder, posed: PosedProblem, probe: Probe) -> dict[str, Any]:
    """Assign a solved head to the classifier, and return the facts for `metrics.jsonl`."""
    logits = builder.classifier.head.get_layer("logits")
    logits.set_weights(_head_weights(builder.classifier, probe, *logits.get_weights()))
    facts: dict[str, Any] = {"strength": probe.strength, "strengths": [list(tried) for tried in probe.path]}
    if probe.layers:
        facts["layers"] = [list(layer) for layer in probe.layers]
    return facts | ({ADAPTATION: posed.decision.as_json()} if posed.decision else {})


def _head_weights(
    classifier: Classifier, probe: Probe, kernel: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel and bias of a classifier's output layer for a solved head; kernel, bias: those it has now."""
    if has_one_unit(classifier):
        return sigmoid_unit(probe)
    keep = keep_absent_classes if classifier.task == CLASSIFY else keep_absent_labels
    return keep(probe, kernel, bias)


def has_one_unit(classifier: Classifier) -> bool:
    """Return True if one sigmoid unit stands for two classes."""
    return classifier.task == CLASSIFY and classifier.head.get_layer("logits").units == 1


def posed_problem(builder: Builder, head: str, *, validation: bool = False) -> PosedProblem:
    """Return the problem of a row of `HEADS`, or "", on the training images, or on the validation images too.

    Auxiliary images take part as `PhaseBuilder.with_auxiliary` decides.
    """
    splits = labelled_splits(builder) if validation else [builder.inputs.training]
    problem, layers = linear_problem(builder, splits), layers_of(builder.classifier, builder.cut_after_base())
    if not validation and problem.held_out is not None and not problem.held_out.any():
        problem = replace(problem, held_out=None)  # it chooses the strength only: validation images score the head

    def features(split: Split) -> Rows:
        """Return the features of a split that this head reads."""
        rows = builder.features(split, builder.prefix_of(builder.cut_after_base()))
        return pose(head, replace(problem, features=rows), layers).problem.features

    return builder.with_auxiliary(pose(head, problem, layers), features)


def linear_problem(builder: Builder, splits: Sequence[Split]) -> LinearProblem:
    """Return the problem of a linear head on the features of all images of the splits, one after another.

    Images that the base was trained on are not held out.
    """
    prefix = builder.prefix_of(builder.cut_after_base())
    parts = tuple(builder.features(split, prefix) for split in splits)
    targets, classes = np.concatenate([split.targets for split in splits]), len(builder.classifier.labels)
    class_weights, weights = builder.inputs.class_weights, None
    if builder.classifier.task == ORDINAL:
        weights = None if class_weights is None else class_weights[targets].astype(np.float64)
        targets, classes, class_weights = step_targets(targets, classes), classes - 1, None
    return LinearProblem(
        parts[0] if len(parts) == 1 else ChainedRows(parts),
        targets,
        classes,
        class_weights=class_weights,
        seed=builder.inputs.seed,
        weights=weights,
        groups=groups_of(splits),
        held_out=new_to_base(splits, builder.inputs.learnt_by_base),
    )


def new_to_base(splits: Sequence[Split], learnt_by_base: Set[str]) -> np.ndarray | None:
    """Return the images that may be held out, bool [N], as the base was not trained on them; None if all may be.

    None of them may be if a class has fewer than `FEWEST_NEW`: the score would be of other classes only.
    """
    new = np.array([sha256 not in learnt_by_base for split in splits for sha256 in split.sha256s], bool)
    if new.all():
        return None
    targets = np.concatenate([split.targets for split in splits])
    return new & family_of(targets).can_be_scored(targets, new)


def can_be_scored(builder: Builder) -> bool:
    """Return False if the base was trained on so many labelled images that none may be held out."""
    new = new_to_base(labelled_splits(builder), builder.inputs.learnt_by_base)
    return new is None or bool(new.any())


def normalisation_of(builder: Builder) -> Normalisation:
    """Return the normalisation that cross-validation chooses for the head of a frozen base."""
    layers = layers_of(builder.classifier, builder.cut_after_base())
    return choose_normalisation(linear_problem(builder, [builder.inputs.training]), layers, builder.reporter)


def labelled_splits(builder: Builder) -> list[Split]:
    """Return the splits of all labelled images: training, then validation."""
    return [builder.inputs.training, builder.inputs.validation]


def groups_of(splits: Sequence[Split]) -> tuple[str, ...]:
    """Return the group of each image of several splits, as in `Split`; copies of an image are in one group.

    A copy that trained would give its label away.
    """
    groups = [name for split in splits for name in split.groups or ("",) * len(split)]
    pixels = [pixel_hash for split in splits for pixel_hash in split.pixel_hashes or split.sha256s]
    count_of = Counter(pixels)
    if len(count_of) == len(pixels):
        return tuple(groups) if any(groups) else ()
    images = list(zip(pixels, groups, strict=True))
    units = units_of([Sample(copied, (), group=group) for copied, group in images])
    key_of = {pixel_hash: unit.key for unit in units for pixel_hash in unit.pixels}
    return tuple(key_of[copied] if group or count_of[copied] > 1 else "" for copied, group in images)


def layers_of(classifier: Classifier, cut: Cut) -> FeatureLayers:
    """Return the layers whose pooled vectors are side by side in a classifier's features, and their normalisation."""
    widths = tuple(part.width for part in cut.parts) or cut.feature_shape
    names = (*classifier.taps, "output")
    return FeatureLayers(names, widths, classifier.normalisation)


def cross_validated(builder: Builder, head: str) -> HeldOut:
    """Return the predictions of a row of `HEADS`, or "", of all labelled images by cross-validation."""
    posed = posed_problem(builder, head, validation=True)
    return held_out_of(builder, _of_classes(builder, posed, posed.cross_validate()))


def _of_classes(builder: Builder, posed: PosedProblem, found: OutOfFold) -> OutOfFold:
    """Return predictions of the steps of a scale as those of its classes, with their figures; others unchanged."""
    if builder.classifier.task != ORDINAL:
        return found
    targets = np.concatenate([split.targets for split in labelled_splits(builder)])
    logits = log_probabilities(found.logits)
    problem = replace(posed.problem, targets=targets, classes=len(builder.classifier.labels))
    return figures(problem, logits, problem.losses(logits)[0])


def held_out_of(builder: Builder, found: OutOfFold) -> HeldOut:
    """Return predictions of all labelled images that could be held out, as the classifier's head gives them.

    Of several labels an image, one that could not be held out, because no other image teaches it, counts as unknown.
    """
    splits = labelled_splits(builder)
    targets = np.concatenate([split.targets for split in splits])
    logits = found.logits[: len(targets)]
    targets = family_of(targets).scored(logits, targets)
    if has_one_unit(builder.classifier):
        logits = np.diff(logits, axis=1)
    rows, groups = np.flatnonzero(np.isfinite(logits).any(axis=1)), groups_of(splits)
    named = tuple(groups[row] for row in rows.tolist()) if groups else ()
    return HeldOut(np.nan_to_num(logits[rows]), targets[rows], named, rows)


def result_reporter(builder: Builder) -> Reporter:
    """Return the reporter of results; a silent one in a dry run, whose features are not real."""
    return Reporter() if builder.dry_run else builder.reporter
