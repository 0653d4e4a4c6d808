"""Phases that are solved in one step, without gradients: a probe for the head, and a blend of two sets of weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from transfercli.data.dataset import Split
from transfercli.models.classifier import Classifier
from transfercli.models.forward import forward
from transfercli.models.surgery import Cut
from transfercli.models.tensor_names import assign_tensors, read_tensors
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.training.phases import Phase, Stage
from transfercli.training.trainer import validation_metrics
from transfercli.transfer.features.prefix import Prefix
from transfercli.transfer.features.views import Views
from transfercli.transfer.probe.blend import choose_blend
from transfercli.transfer.probe.probe import sigmoid_unit, solve, with_kept_rows
from transfercli.transfer.training_inputs import TrainingInputs


class FeatureStages(Protocol):
    """The set-up of phases as a solved phase uses it; `transfer/stages.py` has the one implementation."""

    classifier: Classifier
    training: TrainingInputs
    reporter: Reporter
    start: dict[str, np.ndarray]
    keeps: bool

    def __call__(self, phase: Phase) -> Stage: ...
    def whole_base(self) -> Cut: ...
    def above(self, cut: Cut, views: Views | None) -> Stage: ...
    def prefix_of(self, cut: Cut) -> Prefix: ...
    def features(self, split: Split, prefix: Prefix, views: Views | None = None) -> Rows: ...


def probe_stage(stages: FeatureStages, phase: Phase) -> Stage:
    """The head of a frozen base, solved for on the features of the images as they are."""
    if stages.training.augment:
        stages.reporter.info("probe: on images as they are, without augmentation")
    stage = stages.above(stages.whole_base(), None)
    return replace(stage, solve=lambda: solve_head(stages, stage.batches.source, _listener(stages)))


def solve_head(stages: FeatureStages, features: Rows, reporter: Reporter) -> None:
    """Put the best linear head on pooled features into the classifier."""
    training, classifier = stages.training, stages.classifier
    found = solve(
        features,
        training.training.targets,
        len(classifier.labels),
        class_weights=training.class_weights,
        seed=training.seed,
        reporter=reporter,
    )
    logits = classifier.head.get_layer("logits")
    logits.set_weights(sigmoid_unit(found) if logits.units == 1 else with_kept_rows(found, *logits.get_weights()))


def blend_stage(stages: FeatureStages, phase: Phase) -> Stage:
    """Choose on the validation images how far to go from the probe to what the phase before has trained."""
    stage, classifier = stages(replace(phase, kind="train")), stages.classifier

    def put_best() -> None:
        trained = read_tensors(classifier)
        assign_tensors(classifier, stages.start)
        whole = stages.whole_base()
        solve_head(stages, stages.features(stages.training.training, stages.prefix_of(whole)), Reporter())
        choose_blend(classifier, read_tensors(classifier), trained, _judge(stages, stage), _listener(stages))

    return replace(stage, solve=put_best)


def _listener(stages: FeatureStages) -> Reporter:
    """Who hears what was found: nobody in a trial, whose features are made up."""
    return stages.reporter if stages.keeps else Reporter()


def _judge(stages: FeatureStages, stage: Stage) -> Callable[[], float]:
    """Log loss of the validation images, of whatever weights the classifier has."""
    targets, labels = stages.training.validation.targets, stages.classifier.labels

    def loss() -> float:
        logits = forward(stage.model, stage.validation, stage.batches.batch_size, stages.reporter, "blend")
        return float(validation_metrics(logits, targets, labels)["val_loss"])

    return loss


SOLVED: dict[str, Callable[[FeatureStages, Phase], Stage]] = {"probe": probe_stage, "blend": blend_stage}
