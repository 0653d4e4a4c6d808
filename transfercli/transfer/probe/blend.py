"""Blend of two sets of weights: the best interpolation between a probe's and those trained from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transfercli.models.classifier import Classifier
from transfercli.models.tensor_names import assign_tensors
from transfercli.reporting import Reporter

SHARES = (0.2, 0.4, 0.6, 0.8)  # of the end's weights; 0 and 1 were validated before

Tensors = dict[str, np.ndarray]


def choose_blend(
    classifier: Classifier, start: Tensors, end: Tensors, validation_loss: Callable[[], float], reporter: Reporter
) -> float:
    """Assign the best interpolation between `start` and `end` (WiSE-FT, Wortsman et al. 2022) and return its share.

    validation_loss: returns the loss of the classifier's current weights.
    """
    losses = {}
    for share in SHARES:
        assign_tensors(classifier, interpolated(start, end, share))
        losses[share] = validation_loss()
    best = min(losses, key=lambda share: losses[share])
    assign_tensors(classifier, interpolated(start, end, best))
    reporter.info(f"blend: {best:.0%} of the trained weights, {1 - best:.0%} of the probe's")
    return best


def interpolated(start: Tensors, end: Tensors, share: float) -> Tensors:
    """Return start + share * (end - start), in the dtype of each; weights equal at both ends stay equal, to the bit."""
    return {name: (value + share * (end[name] - value)).astype(value.dtype) for name, value in start.items()}
