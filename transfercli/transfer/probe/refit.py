"""Refit: the head is solved on training and validation images together, and scored out of fold.

Validation images are labels too: once they have served to choose, a head that is solved on them as well is better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from transfercli.data.clusters import cluster_indices
from transfercli.models.forward import forward
from transfercli.models.tensor_names import assign_tensors, read_tensors
from transfercli.reporting import Reporter
from transfercli.training.phases import HeldOut, Phase, PhaseSetup, Solved
from transfercli.transfer.probe.cross_validation import OutOfFold
from transfercli.transfer.probe.families import FEWEST_NEW, family_of
from transfercli.transfer.probe.probe import WEIGHTED, standard_error
from transfercli.transfer.probe.solved_head import (
    Builder,
    can_be_scored,
    held_out_of,
    result_reporter,
    solve_head,
    solve_scored_head,
)

CLEARLY = 2.0  # standard errors
TOO_FEW_NEW = f"the base was, or may have been, trained on all images of a class but fewer than {FEWEST_NEW}"


@dataclass(frozen=True)
class Gain:
    """Fall of the log loss of the validation images by training, in nats; error: its standard error."""

    mean: float
    error: float

    @property
    def shown(self) -> bool:
        """True if the gain is clear: what is refitted instead gains from the labels of the validation images."""
        return self.mean > CLEARLY * self.error

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.error:.4f} nats"


def set_up_refit(builder: Builder, phase: Phase) -> PhaseSetup:
    """Return the set-up that solves for the head on training and validation images together, scored out of fold.

    After a trained phase it does so only if the validation images do not show that the phase gained; else the weights
    of that phase stay.
    """
    tuned = builder.trained(phase) if phase.epochs else None
    setup = tuned or on_plain_features(builder)

    def assign_better() -> Solved:
        gain, held_out = None, None
        if tuned:
            gain, held_out = _assign_better(builder, phase, tuned)
        facts = {"gain": gain.mean, "gain_error": gain.error} if gain else {}
        solved = Solved({}, held_out) if held_out else _refit(builder, phase)
        return replace(solved, facts=solved.facts | facts)

    return replace(setup, solve=assign_better)


def on_plain_features(builder: Builder) -> PhaseSetup:
    """Return the set-up of a head on the features of images without augmentation."""
    if builder.inputs.augment:
        builder.reporter.info("probe: on images without augmentation")
    setup = builder.on_features(builder.cut_after_base(), None)
    for split in (builder.inputs.unlabelled, builder.inputs.related):
        if split is not None:
            builder.features(split, builder.prefix_of(builder.cut_after_base()))
    return setup


def _refit(builder: Builder, phase: Phase) -> Solved:
    """Solve for the head and return its scores out of fold.

    If nothing can be held out, because a class has a single image, or too few that are new to the base, the head is
    solved on the training images alone, and the validation images score it.
    """
    reporter, inputs = result_reporter(builder), builder.inputs
    if not can_be_scored(builder):
        reporter.info(f"no refit: {TOO_FEW_NEW}; the validation images score a head solved on the training images")
        return Solved(solve_head(builder, phase.head, reporter))
    scored = solve_scored_head(builder, phase.head, reporter)
    if scored is None:
        reporter.warning(
            "a class has a single image, or a single group of images, so no cross-validation can score the head: it is"
            " solved on the training images alone"
        )
        return Solved(solve_head(builder, phase.head, reporter))
    facts, found = scored
    held_out = held_out_of(builder, found)
    images = f" on the {len(held_out.targets)} images that the base was not trained on" if inputs.learnt_by_base else ""
    reporter.info(
        f"refit on training and validation images; cross-validated{images}: accuracy {found.accuracy:.4f} ±"
        f" {found.accuracy_error:.4f}, log loss {found.loss:.4f} ± {found.loss_error:.4f}"
        f"{'' if inputs.class_weights is None else WEIGHTED}"
    )
    return Solved(facts | _scores(found, len(held_out.targets)), held_out)


def _scores(found: OutOfFold, images: int) -> dict[str, Any]:
    """Return the keys of a cross-validated line of `metrics.jsonl`."""
    errors = {"val_accuracy_error": found.accuracy_error, "val_loss_error": found.loss_error}
    return {**errors, "cross_validated": images}


def _assign_better(builder: Builder, phase: Phase, tuned: PhaseSetup) -> tuple[Gain, HeldOut | None]:
    """Compare the classifier's weights with those before training on the validation images, and assign the better.

    Return the gain of training and, if the trained weights stay, their predictions of the validation images.
    """
    validation, trained = builder.inputs.validation, read_tensors(builder.classifier)
    after = _validation_logits(builder, tuned)
    assign_start(builder, phase)
    before = _validation_logits(builder, tuned)
    falls = image_losses(before, validation.targets) - image_losses(after, validation.targets)
    gain = Gain(float(falls.mean()), standard_error(falls, cluster_indices(validation.groups)))
    kept = "it is kept" if gain.shown else "the solved head is kept"
    result_reporter(builder).info(f"fine-tuning lowers the loss of the validation images by {gain}: {kept}")
    if not gain.shown:
        return gain, None
    assign_tensors(builder.classifier, trained)
    return gain, HeldOut(after, validation.targets, validation.groups)


def image_losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return each image's part of the mean log loss in nats, float64 [N]: 0 if none of its labels is known.

    logits: [N, C], or [N, 1] of one sigmoid unit for two classes; targets: as in `Split`.
    """
    if targets.ndim == 1 and logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    family = family_of(targets)
    weights = family.image_weights(targets, None)
    return np.nan_to_num(family.losses(logits, targets, None)[0]) * (weights / weights.mean())


def _validation_logits(builder: Builder, setup: PhaseSetup) -> np.ndarray:
    return forward(setup.model, setup.validation, setup.batches.batch_size, builder.reporter, "compare")


def assign_start(builder: Builder, phase: Phase) -> None:
    """Assign the weights before the first trained phase: those that the run began with, and the probe."""
    assign_tensors(builder.classifier, builder.start)
    solve_head(builder, phase.head, Reporter())
