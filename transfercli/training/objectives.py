"""Table of tasks: the loss and accuracy that a phase trains with, and the metrics of the validation images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import xlogy

from transfercli.config.schema import TrainingConfig
from transfercli.config.types import Task
from transfercli.models.tasks.standardisation import Standardisation
from transfercli.training.optim.losses import build_accuracy, build_label_accuracy, build_label_loss, build_loss
from transfercli.training.phases import PhaseSetup
from transfercli.training.validation import label_validation_metrics, number_validation_metrics, validation_metrics


@dataclass(frozen=True)
class Objective:
    """Training objective of a task.

    loss: function of targets and logits that returns losses [N], for a phase. accuracy: Keras metrics of the same.
    validation_metrics: (logits, targets, labels, targets of the training images) -> the keys `val_…` of an epoch's
    line.
    guessing: targets and number of classes -> log loss of answers that do not depend on the image, and their name.
    """

    loss: Callable[[PhaseSetup, TrainingConfig], Callable[..., Any]]
    accuracy: Callable[[PhaseSetup], list[Any]]
    validation_metrics: Callable[[np.ndarray, np.ndarray, Sequence[str], np.ndarray], dict[str, Any]]
    guessing: Callable[[np.ndarray, int], tuple[float, str]]


def _class_loss(setup: PhaseSetup, training: TrainingConfig) -> Callable[..., Any]:
    smoothing, units = training.regularization.label_smoothing, setup.model.output.shape[-1]
    return build_loss(units, smoothing, training.loss, soft=setup.batches.soft)


def _class_accuracy(setup: PhaseSetup) -> list[Any]:
    return [build_accuracy(setup.model.output.shape[-1], soft=setup.batches.soft)]


def _label_loss(setup: PhaseSetup, training: TrainingConfig) -> Callable[..., Any]:
    batches = setup.batches
    known_share = float((batches.targets >= 0).mean())
    smoothing = training.regularization.label_smoothing
    return build_label_loss(smoothing, training.loss, batches.class_weights, known_share)


def _number_loss(setup: PhaseSetup, _training: TrainingConfig) -> Callable[..., Any]:
    """Return the squared error of the standardised numbers."""
    from keras import ops

    scale = Standardisation.of(setup.batches.targets)

    def loss(targets: Any, outputs: Any) -> Any:
        truth = (ops.cast(ops.reshape(targets, (-1,)), outputs.dtype) - scale.mean) / scale.deviation
        return ops.square(ops.reshape(outputs, (-1,)) - truth)

    return loss


def _number_metrics(
    outputs: np.ndarray, targets: np.ndarray, _labels: Sequence[str], learnt: np.ndarray
) -> dict[str, Any]:
    return number_validation_metrics(outputs, targets, Standardisation.of(learnt))


def _guessed_class(targets: np.ndarray, classes: int) -> tuple[float, str]:
    return math.log(classes), f"ln {classes}"


def _guessed_labels(targets: np.ndarray, classes: int) -> tuple[float, str]:
    """Return the mean entropy of the labels, and its name."""
    known, positives = (targets >= 0).sum(axis=0), (targets == 1).sum(axis=0)
    frequency = positives / np.maximum(known, 1)
    entropy = -(xlogy(frequency, frequency) + xlogy(1 - frequency, 1 - frequency))
    return float((known * entropy).sum() / known.sum()), "each label by its frequency"


_OF_CLASSES = Objective(
    _class_loss,
    _class_accuracy,
    lambda logits, targets, labels, _: validation_metrics(logits, targets, labels),
    _guessed_class,
)
OBJECTIVES: dict[Task, Objective] = {
    "ordinal": _OF_CLASSES,
    "classify": _OF_CLASSES,
    "multilabel": Objective(
        _label_loss,
        lambda _: [build_label_accuracy()],
        lambda logits, targets, labels, _: label_validation_metrics(logits, targets, labels),
        _guessed_labels,
    ),
    "regression": Objective(_number_loss, lambda _: [], _number_metrics, lambda *_: (1.0, "the mean of all")),
}
