"""What an epoch is judged by: log loss and accuracy of the validation images, and what share of each class is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transfercli.models.forward import probabilities


def validation_metrics(logits: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Of float logits [N, C] or [N, 1] for targets [N], indices into `labels`.

    `val_loss` is the mean log loss, `val_accuracy` the share that is right, and `val_recall` the same for the images
    of each class by itself: {label: share}, in index order, without classes that have no image here.
    """
    chances = probabilities(logits)
    likelihood = np.maximum(chances[np.arange(len(targets)), targets], np.finfo("float64").tiny)
    right = chances.argmax(axis=1) == targets
    images = np.bincount(targets, minlength=len(labels))
    found = np.bincount(targets[right], minlength=len(labels))
    return {
        "val_loss": float(-np.log(likelihood).mean()),
        "val_accuracy": float(right.mean()),
        "val_recall": {label: round(int(found[i]) / int(images[i]), 4) for i, label in enumerate(labels) if images[i]},
    }
