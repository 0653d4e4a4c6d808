"""Temperature scaling: one parameter that calibrates the probabilities and changes no predicted class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.metrics.confusion import Array, Targets

# Outside this range the probabilities of a model are all equal, or all 0 and 1.
COLDEST, HOTTEST = 0.05, 20.0
# The prior of the temperature's logarithm: a normal distribution around 0 with this standard deviation.
SPREAD = 0.5


@dataclass(frozen=True, slots=True)
class Scaling:
    """The decision to divide logits by a temperature, or to leave them.

    fitted: the most probable temperature
    gain: fall of the log loss by scaling, cross-validated on the validation images
    standard_error: of the gain; None if there are fewer than two independent images
    """

    fitted: float
    gain: float
    standard_error: float | None

    @property
    def scaled(self) -> bool:
        """True if the gain is larger than its standard error: then `fitted` divides the logits."""
        return self.standard_error is not None and self.gain > self.standard_error

    @property
    def temperature(self) -> float:
        """The divisor of the logits: `fitted`, or 1."""
        return self.fitted if self.scaled else 1.0


def class_logits(logits: npt.NDArray[np.floating]) -> Array:
    """Return logits [N, C] as float64; logits of a sigmoid head, [N, 1], become two columns symmetric around 0."""
    values = logits.astype(np.float64)
    return np.concatenate([-values / 2, values / 2], axis=1) if values.shape[1] == 1 else values


def calibrated(logits: Array, temperature: float) -> Array:
    """Return the softmax of `logits / temperature`: probabilities float64 [N, C] for logits [N, C].

    The most probable class is always that of the largest logit, also if rounding would make two probabilities equal.
    """
    scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    exponentials = np.exp(scaled)
    probabilities: Array = exponentials / exponentials.sum(axis=1, keepdims=True)
    rows, best = np.arange(len(probabilities)), logits.argmax(axis=1)
    tied = probabilities.astype(np.float32).argmax(axis=1) != best
    if tied.any():  # predictions are stored in float32
        top = probabilities[tied].max(axis=1).astype(np.float32)
        probabilities[rows[tied], best[tied]] = np.nextafter(top, np.float32(2))
    return probabilities


def log_loss(logits: Array, targets: Targets, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of the true classes, computed from logits so that it is always finite."""
    return float(log_losses(logits / temperature, targets).mean())


def log_losses(logits: Array, targets: Targets) -> Array:
    """Return the log loss of each image in nats, float64 [N], of logits float64 [N, C]."""
    top = logits.max(axis=1)
    normaliser = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    losses: Array = normaliser - logits[np.arange(len(targets)), targets]
    return losses


def choose_temperature(logits: Array, targets: Targets, groups: Sequence[str] = ()) -> Scaling:
    """Fit a temperature, and decide by leave-one-out cross-validation if it is used.

    A model whose best epoch was chosen by its validation loss is often calibrated already, and then any temperature
    fitted to few images is worse than 1. So the fall of the log loss must be larger than its standard error.

    logits: float64 [N, C]; targets: int [N]. groups: of the images, as in `Split`; a group is left out as a whole.
    """
    fitted = fit_temperature(logits, targets)
    clusters = cluster_indices(groups)
    clusters = np.arange(len(targets)) if clusters is None else clusters
    others = _left_out(logits, targets, clusters, fitted)[:, None]
    gains = log_losses(logits, targets) - log_losses(logits / others, targets)
    count = int(clusters.max()) + 1
    spread = np.bincount(clusters, gains - gains.mean())
    error = math.sqrt((spread**2).sum() * count / (count - 1)) / len(gains) if count > 1 else None
    return Scaling(fitted, float(gains.mean()), error)


def _left_out(logits: Array, targets: Targets, clusters: Targets, fitted: float) -> Array:
    """Return the temperature that all images but those of its own cluster give to each image, float64 [N].

    It is one Newton step from `fitted`, in the temperature's logarithm: with the cluster left out, the gradient of the
    loss there is minus that of the cluster.
    """
    probabilities = calibrated(logits, fitted)
    mean = (probabilities * logits).sum(axis=1)
    excess = (logits[np.arange(len(targets)), targets] - mean) / fitted
    variance = ((probabilities * logits**2).sum(axis=1) - mean**2) / fitted**2
    prior = 1 / SPREAD**2
    curvature = max(prior, float((variance - excess).sum()) + prior)
    steps = np.clip(np.bincount(clusters, excess) / curvature, -1, 1)
    temperatures: Array = np.clip(fitted * np.exp(steps), COLDEST, HOTTEST)[clusters]
    return temperatures


def fit_temperature(logits: Array, targets: Targets) -> float:
    """Return the most probable temperature for held-out images.

    Guo et al. 2017 ("On Calibration of Modern Networks") minimise the log loss, which overfits twenty images. Here a
    normal prior on the logarithm of the temperature, with mean 0 and standard deviation `SPREAD`, is added; a few
    hundred images outweigh it.

    logits: float64 [N, C]; targets: int [N]. If all N predictions are right, the temperature is lowered at most until
    the mean confidence is (N + 1) / (N + 2), the rule of succession, because N images cannot prove certainty.
    """
    from scipy.optimize import minimize_scalar

    def negative_log_posterior(log_temperature: float) -> float:
        loss = log_loss(logits, targets, math.exp(log_temperature))
        return len(targets) * loss + (log_temperature / SPREAD) ** 2 / 2

    bounds = (math.log(COLDEST), math.log(HOTTEST))
    options = {"xatol": 1e-6}
    temperature = math.exp(minimize_scalar(negative_log_posterior, bounds=bounds, method="bounded", options=options).x)
    all_right = (logits.argmax(axis=1) == targets).all()
    return max(temperature, _lowest_without_mistakes(logits)) if all_right else temperature


def _lowest_without_mistakes(logits: Array) -> float:
    """Return the temperature at which the mean confidence is (N + 1) / (N + 2)."""
    from scipy.optimize import brentq

    target = (len(logits) + 1) / (len(logits) + 2)

    def excess(log_temperature: float) -> float:
        return float(calibrated(logits, math.exp(log_temperature)).max(axis=1).mean()) - target

    coldest = math.log(COLDEST)
    if excess(0.0) >= 0:
        return 1.0
    if excess(coldest) <= 0:
        return COLDEST
    return math.exp(float(brentq(excess, coldest, 0.0, xtol=1e-6)))
