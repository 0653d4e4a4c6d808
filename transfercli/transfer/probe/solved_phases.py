"""Set-up of phases solved in one step, without gradients: a probe of the head, and a blend of two sets of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from transfercli.data.dataset import Split
from transfercli.models.classifier import Classifier
from transfercli.models.forward import forward
from transfercli.models.normalised import Normalisation
from transfercli.models.surgery import Cut
from transfercli.models.tensor_names import assign_tensors, read_tensors
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.training.phases import Phase, PhaseSetup
from transfercli.training.validation import validation_metrics
from transfercli.transfer.features.prefix import Prefix
from transfercli.transfer.features.views import Views
from transfercli.transfer.probe.blend import choose_blend
from transfercli.transfer.probe.multilayer import FeatureLayers, LinearProblem, solve_layers
from transfercli.transfer.probe.normalisation import choose_normalisation
from transfercli.transfer.probe.probe import Probe, keep_absent_classes, sigmoid_unit
from transfercli.transfer.training_inputs import TrainingInputs


class Builder(Protocol):
    """The part of `PhaseBuilder` (`transfer/phase_builder.py`) that solved phases use."""

    classifier: Classifier
    inputs: TrainingInputs
    reporter: Reporter
    start: dict[str, np.ndarray]
    dry_run: bool

    def __call__(self, phase: Phase) -> PhaseSetup: ...
    def cut_after_base(self) -> Cut: ...
    def on_features(self, cut: Cut, views: Views | None) -> PhaseSetup: ...
    def prefix_of(self, cut: Cut) -> Prefix: ...
    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Rows: ...
    def remember(self, prefix: Prefix, features: Rows) -> None: ...


def set_up_probe(builder: Builder, phase: Phase) -> PhaseSetup:
    """Return the set-up that solves for the head of a frozen base, on features of images without augmentation."""
    if builder.inputs.augment:
        builder.reporter.info("probe: on images without augmentation")
    setup = builder.on_features(builder.cut_after_base(), None)

    def assign_probe() -> dict[str, Any]:
        probe = solve_head(builder, setup.batches.source, _result_reporter(builder))
        return {"strength": probe.strength, "strengths": [list(tried) for tried in probe.path]}

    return replace(setup, solve=assign_probe)


def solve_head(builder: Builder, features: Rows, reporter: Reporter) -> Probe:
    """Solve for the best linear head on pooled features, assign it to the classifier, and return it."""
    classifier = builder.classifier
    layers = layers_of(classifier, builder.cut_after_base())
    probe = solve_layers(linear_problem(builder, features), layers, reporter)
    logits = classifier.head.get_layer("logits")
    logits.set_weights(sigmoid_unit(probe) if logits.units == 1 else keep_absent_classes(probe, *logits.get_weights()))
    return probe


def linear_problem(builder: Builder, features: Rows) -> LinearProblem:
    """Return the problem of a linear head on the features of the training images."""
    inputs = builder.inputs
    return LinearProblem(
        features,
        inputs.training.targets,
        len(builder.classifier.labels),
        class_weights=inputs.class_weights,
        seed=inputs.seed,
        groups=inputs.training.groups,
    )


def normalisation_of(builder: Builder) -> Normalisation:
    """Return the normalisation that cross-validation chooses for the head of a frozen base."""
    cut = builder.cut_after_base()
    prefix = builder.prefix_of(cut)
    features = builder.features(builder.inputs.training, prefix)
    builder.remember(prefix, features)
    return choose_normalisation(linear_problem(builder, features), layers_of(builder.classifier, cut), builder.reporter)


def layers_of(classifier: Classifier, cut: Cut) -> FeatureLayers:
    """Return the layers whose pooled vectors are side by side in a classifier's features, and their normalisation."""
    widths = tuple(part.width for part in cut.parts) or cut.feature_shape
    names = (*classifier.taps, "output")
    return FeatureLayers(names, widths, classifier.normalisation)


def set_up_blend(builder: Builder, phase: Phase) -> PhaseSetup:
    """Return the set-up that blends the probe with the phase before, by the loss of the validation images."""
    setup, classifier = builder(replace(phase, kind="train")), builder.classifier

    def assign_best_blend() -> dict[str, Any]:
        trained = read_tensors(classifier)
        assign_tensors(classifier, builder.start)
        prefix = builder.prefix_of(builder.cut_after_base())
        solve_head(builder, builder.features(builder.inputs.training, prefix), Reporter())
        start, loss = read_tensors(classifier), _validation_loss(builder, setup)
        choose_blend(classifier, start, trained, loss, _result_reporter(builder))
        return {}

    return replace(setup, solve=assign_best_blend)


def _result_reporter(builder: Builder) -> Reporter:
    """Return the reporter of results; a silent one in a dry run, whose features are not real."""
    return Reporter() if builder.dry_run else builder.reporter


def _validation_loss(builder: Builder, setup: PhaseSetup) -> Callable[[], float]:
    """Return a function that gives the log loss of the validation images with the classifier's current weights."""
    targets, labels = builder.inputs.validation.targets, builder.classifier.labels

    def loss() -> float:
        logits = forward(setup.model, setup.validation, setup.batches.batch_size, builder.reporter, "blend")
        return float(validation_metrics(logits, targets, labels)["val_loss"])

    return loss


SOLVERS: dict[str, Callable[[Builder, Phase], PhaseSetup]] = {"probe": set_up_probe, "blend": set_up_blend}
