"""Temperature scaling: one number that makes stated probabilities come true, and changes no label."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics.confusion import Array, Targets

# Beyond these, a model's probabilities are all equal or all 0 and 1: nothing is left to be scaled.
COLDEST, HOTTEST = 0.05, 20.0
# What is known of a temperature before an image is seen: the standard deviation of its logarithm around 0.
SPREAD = 0.5


def class_logits(logits: npt.NDArray[np.floating]) -> Array:
    """Logits [N, C] as float64; those of a sigmoid head, [N, 1], as two columns that lie symmetrically around 0."""
    values = logits.astype(np.float64)
    return np.concatenate([-values / 2, values / 2], axis=1) if values.shape[1] == 1 else values


def calibrated(logits: Array, temperature: float) -> Array:
    """Probabilities float64 [N, C] for logits [N, C]: the softmax of `logits / temperature`.

    The most probable class is that of the largest logit, also where rounding would make two of them equal.
    """
    scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    shares = np.exp(scaled)
    found: Array = shares / shares.sum(axis=1, keepdims=True)
    rows, best = np.arange(len(found)), logits.argmax(axis=1)
    tied = found.astype(np.float32).argmax(axis=1) != best
    if tied.any():  # predictions are kept in float32
        top = found[tied].max(axis=1).astype(np.float32)
        found[rows[tied], best[tied]] = np.nextafter(top, np.float32(2))
    return found


def log_loss(logits: Array, targets: Targets, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood of the true classes, computed from logits: it is finite however sure they are."""
    scaled = logits / temperature
    top = scaled.max(axis=1)
    normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
    return float((normaliser - scaled[np.arange(len(targets)), targets]).mean())


def fit_temperature(logits: Array, targets: Targets) -> float:
    """The most probable temperature for held-out images, after Guo et al. 2017 ("On Calibration of Modern Networks").

    Theirs is the one of the least log loss, which twenty images overstate wildly. So its logarithm is held to a normal
    prior around 0 with a deviation of `SPREAD`, which a few hundred images outvote.

    logits: float64 [N, C]; targets: int [N]. Where no image is mistaken, it is lowered at most until the mean
    confidence is that of the rule of succession, (N + 1) / (N + 2): certainty is not what N images can show.
    """
    from scipy.optimize import minimize_scalar

    def improbable(power: float) -> float:
        return len(targets) * log_loss(logits, targets, math.exp(power)) + (power / SPREAD) ** 2 / 2

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    found = math.exp(minimize_scalar(improbable, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x)
    whole = (logits.argmax(axis=1) == targets).all()
    return max(found, _as_sure_as_shown(logits)) if whole else found


def _as_sure_as_shown(logits: Array) -> float:
    from scipy.optimize import brentq

    shown = (len(logits) + 1) / (len(logits) + 2)

    def excess(power: float) -> float:
        return float(calibrated(logits, math.exp(power)).max(axis=1).mean()) - shown

    coldest = math.log(COLDEST)
    if excess(0.0) >= 0:
        return 1.0
    if excess(coldest) <= 0:
        return COLDEST
    return math.exp(float(brentq(excess, coldest, 0.0, xtol=1e-6)))
