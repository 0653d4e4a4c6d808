"""Metrics of the validation images after an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.models.forward import probabilities


def validation_metrics(logits: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Return the metrics of float logits [N, C] or [N, 1] for targets int [N], indices into `labels`.

    `val_loss` is the mean log loss in nats, `val_accuracy` the fraction of correct images, and `val_recall` this
    fraction within each class: {label: fraction}, in index order. `val_balanced_accuracy` is the mean recall and
    `val_macro_f1` the mean F1 of the classes. Classes that have no image are in none of the last three.
    """
    p = probabilities(logits)
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
