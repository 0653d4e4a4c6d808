"""Metrics of the validation images after an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.models.tasks.outputs import softmax
from transfercli.models.tasks.standardisation import Standardisation


def validation_metrics(logits: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of float logits [N, C] or [N, 1] for targets int [N], indices into `labels`.

    `val_loss` is the mean log loss in nats, `val_accuracy` the fraction of correct images, and `val_recall` this
    fraction within each class: {label: fraction}, in index order. `val_balanced_accuracy` is the mean recall and
    `val_macro_f1` the mean F1 of the classes. Classes that have no image are in none of the last three.
    """
    p = softmax(logits)
    likelihood = np.maximum(p[np.arange(len(targets)), targets], np.finfo("float64").tiny)
    predicted = p.argmax(axis=1)
    images = np.bincount(targets, minlength=len(labels))
    hits = np.bincount(targets[predicted == targets], minlength=len(labels))
    present = images > 0
    f1 = 2 * hits[present] / (images + np.bincount(predicted, minlength=len(labels)))[present]
    recall = hits[present] / images[present]
    return {
        "val_loss": float(-np.log(likelihood).mean()),
        "val_accuracy": float((predicted == targets).mean()),
        "val_macro_f1": float(f1.mean()),
        "val_balanced_accuracy": float(recall.mean()),
        "val_recall": {
            labels[i]: round(float(r), 4) for i, r in zip(np.flatnonzero(present).tolist(), recall, strict=True)
        },
    }


def label_validation_metrics(logits: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of float logits [N, L] for targets int [N, L]: 1, 0, or negative if unknown.

    `val_loss` is the mean binary log loss in nats over the known labels of all images, `val_accuracy` the fraction of
    them that are right at 0.5. `val_map`, mean average precision, `val_macro_f1`, `val_balanced_accuracy` and
    `val_recall` are of the labels that at least one image has; `val_balanced_accuracy` is the mean of recall and
    specificity, or recall alone for a label that every image has.
    """
    known, truth, answered = targets >= 0, targets == 1, logits > 0
    losses = np.logaddexp(0.0, np.where(truth, -logits, logits).astype("float64"))
    positives, negatives = truth.sum(axis=0), (known & ~truth).sum(axis=0)
    hits = (truth & answered).sum(axis=0)
    answers, rejected = (known & answered).sum(axis=0), (known & ~truth & ~answered).sum(axis=0)
    present = np.flatnonzero(positives)
    recall = hits[present] / positives[present]
    specificity = np.where(negatives > 0, rejected / np.maximum(negatives, 1), hits / np.maximum(positives, 1))[present]
    f1 = 2 * hits[present] / (positives + answers)[present]
    precisions = [_average_precision(logits[known[:, i], i], truth[known[:, i], i]) for i in present]
    return {
        "val_loss": float(losses[known].mean()),
        "val_accuracy": float((truth == answered)[known].mean()),
        "val_map": float(np.mean(precisions)),
        "val_micro_f1": float(2 * hits.sum() / max((positives + answers).sum(), 1)),
        "val_macro_f1": float(f1.mean()),
        "val_balanced_accuracy": float(((recall + specificity) / 2).mean()),
        "val_recall": {labels[i]: round(float(r), 4) for i, r in zip(present.tolist(), recall, strict=True)},
    }


def _average_precision(scores: np.ndarray, truth: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, scores))


def number_validation_metrics(outputs: np.ndarray, targets: np.ndarray, scale: Standardisation) -> dict[str, float]:
    """Return the metrics of outputs [N, 1] of the network for numbers float [N].

    `val_loss` is the mean squared error of standardised numbers. `val_mae` is the mean absolute error in the unit of
    the numbers, and `val_r2` the coefficient of determination, 0 if all numbers are the same.
    """
    errors = outputs[:, 0].astype(np.float64) - scale.standardised(targets)
    spread = float(np.square(targets.astype(np.float64) - targets.astype(np.float64).mean()).mean())
    squared = float(np.square(errors).mean())
    return {
        "val_loss": squared,
        "val_mae": float(np.abs(errors).mean()) * scale.deviation,
        "val_r2": 1 - squared * scale.deviation**2 / spread if spread else 0.0,
    }
