"""Between two sets of weights: the best point on the line from a probe to what was trained from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from transfercli.models.classifier import Classifier
from transfercli.models.tensor_names import assign_tensors
from transfercli.reporting import Reporter

SHARES = (0.2, 0.4, 0.6, 0.8)  # of the way; both ends are known already

Tensors = dict[str, np.ndarray]


def choose_blend(
    classifier: Classifier, start: Tensors, end: Tensors, judge: Callable[[], float], reporter: Reporter
) -> float:
    """Leave in the classifier the point of least loss between `start` and `end` (WiSE-FT, Wortsman et al. 2022).

    judge: the loss of the weights that the classifier has at the moment. Gives the share of the way that was best.
    """
    losses = {}
    for share in SHARES:
        assign_tensors(classifier, mixed(start, end, share))
        losses[share] = judge()
    best = min(losses, key=lambda share: losses[share])
    assign_tensors(classifier, mixed(start, end, best))
    reporter.info(f"blend: {best:.0%} of the way from the probe to what was trained")
    return best


def mixed(start: Tensors, end: Tensors, share: float) -> Tensors:
    """The weights at `share` of the way, in the type of each; what is the same at both ends stays so, to the bit."""
    return {name: (value + share * (end[name] - value)).astype(value.dtype) for name, value in start.items()}
