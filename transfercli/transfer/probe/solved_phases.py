"""Set-up of phases solved in one step, without gradients: a probe, a blend of two sets of weights, and a refit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from transfercli.models.forward import forward
from transfercli.models.tensor_names import read_tensors
from transfercli.training.objectives import OBJECTIVES
from transfercli.training.phases import Phase, PhaseSetup, Solved
from transfercli.transfer.probe.blend import choose_blend
from transfercli.transfer.probe.refit import assign_start, on_plain_features, set_up_refit
from transfercli.transfer.probe.solved_head import Builder, result_reporter, solve_head


def set_up_probe(builder: Builder, phase: Phase) -> PhaseSetup:
    """Return the set-up that solves for the head of a frozen base, on features of images without augmentation."""

    def assign_probe() -> Solved:
        return Solved(solve_head(builder, phase.head, result_reporter(builder)))

    return replace(on_plain_features(builder), solve=assign_probe)


def set_up_blend(builder: Builder, phase: Phase) -> PhaseSetup:
    """Return the set-up that blends the probe with the phase before, by the loss of the validation images."""
    setup, classifier = builder.trained(phase), builder.classifier

    def assign_best_blend() -> Solved:
        trained = read_tensors(classifier)
        assign_start(builder, phase)
        start, loss = read_tensors(classifier), _validation_loss(builder, setup)
        choose_blend(classifier, start, trained, loss, result_reporter(builder))
        return Solved({})

    return replace(setup, solve=assign_best_blend)


def _validation_loss(builder: Builder, setup: PhaseSetup) -> Callable[[], float]:
    """Return a function that gives the log loss of the validation images with the classifier's current weights."""
    targets, labels = builder.inputs.validation.targets, builder.classifier.labels
    metrics = OBJECTIVES[builder.classifier.task].validation_metrics

    def loss() -> float:
        logits = forward(setup.model, setup.validation, setup.batches.batch_size, builder.reporter, "blend")
        return float(metrics(logits, targets, labels, builder.inputs.training.targets)["val_loss"])

    return loss


SOLVERS: dict[str, Callable[[Builder, Phase], PhaseSetup]] = {
    "probe": set_up_probe,
    "blend": set_up_blend,
    "refit": set_up_refit,
}
