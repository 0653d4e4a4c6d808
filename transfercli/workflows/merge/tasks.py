"""Steps of a merge that differ by task: how answers are averaged, and how they are scored image by image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from transfercli.config.types import CLASSIFY, MULTILABEL, Task
from transfercli.data.label_sets import UNKNOWN
from transfercli.errors import UsageError
from transfercli.evaluation.confidence.temperature import class_logits, log_losses

Floats = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MergeSteps:
    """Steps of one task.

    Attributes:
        logits: stored logits of N images -> float64 [N, C].
        mean: logits [K, N, C] of K members and bool [K, N], True for answers that count -> logits of the average.
        right: logits [..., N, C] and targets -> value of each image, whose mean over the images is the accuracy.
        losses: logits [N, C] and targets -> value of each image, whose mean is the log loss.
    """

    logits: Callable[[npt.NDArray[np.floating]], Floats]
    mean: Callable[[Floats, npt.NDArray[np.bool_]], npt.NDArray[np.float32]]
    right: Callable[[npt.NDArray[np.floating], Targets], Floats]
    losses: Callable[[Floats, Targets], Floats]


def logits_of_mean(logits: Floats, answered: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return the logits float32 [N, C] of an average of classes, as `models.average.head.logits_of_mean` does.

    logits: float64 [K, N, C], calibrated. answered: bool [K, N]; the others do not count.
    """
    top = logits.max(axis=2, keepdims=True)
    evidence = top + np.log(np.exp(logits - top).sum(axis=2, keepdims=True))
    shares = answered[:, :, None] / answered.sum(axis=0)[None, :, None]
    mean = (np.exp(logits - evidence) * shares).sum(axis=0)
    return (np.log(np.maximum(mean, np.finfo(np.float64).tiny)) + (evidence * shares).sum(axis=0)).astype(np.float32)


def label_logits_of_mean(logits: Floats, answered: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return the logits float32 [N, L] of the mean probability of each label; arguments as of `logits_of_mean`."""
    shares = np.broadcast_to(answered[:, :, None] / answered.sum(axis=0)[None, :, None], logits.shape)
    present, absent = (logsumexp(-np.logaddexp(0, -sign * logits), axis=0, b=shares) for sign in (1, -1))
    return np.asarray(present - absent, np.float32)


def _right_classes(logits: npt.NDArray[np.floating], targets: Targets) -> Floats:
    return (logits.argmax(axis=-1) == targets).astype(np.float64)


def _right_labels(logits: npt.NDArray[np.floating], targets: Targets) -> Floats:
    return _of_images(((logits >= 0) == (targets == 1)).astype(np.float64), targets)


def _label_losses(logits: Floats, targets: Targets) -> Floats:
    return _of_images(np.logaddexp(0, np.where(targets == 1, -logits, logits)), targets)


def _of_images(values: Floats, targets: Targets) -> Floats:
    """Return values [..., N] of images whose mean is that of `values` [..., N, L] over all known labels."""
    known = targets != UNKNOWN
    total: Floats = (values * known).sum(axis=-1) / known.sum(axis=-1).mean()
    return total


STEPS: dict[Task, MergeSteps] = {
    CLASSIFY: MergeSteps(class_logits, logits_of_mean, _right_classes, log_losses),
    MULTILABEL: MergeSteps(
        lambda logits: logits.astype(np.float64), label_logits_of_mean, _right_labels, _label_losses
    ),
}


def steps_of(task: Task) -> MergeSteps:
    """Return the steps of a task. Raises `UsageError` if its runs cannot be merged."""
    if task not in STEPS:
        raise UsageError(f"merge takes runs of task {' or '.join(STEPS)}; received runs of task {task}")
    return STEPS[task]
