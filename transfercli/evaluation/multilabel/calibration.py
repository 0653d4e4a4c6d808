"""Calibration per label: an affine map of the logits of each label (Platt 1999), fitted to held-out images.

The scale corrects logits that are too large or too small, as a temperature does. The offset corrects the frequency of a
label, which class weights and rare labels shift. Few positives say little about one label, so a map that is common to
all labels is fitted first, and that of a label is drawn towards it. Each is used only if it improves the probabilities
of images that it was not fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from transfercli.data.clusters import cluster_indices
from transfercli.models.tasks.calibration import Calibration
from transfercli.models.tasks.outputs import sigmoid

Array = npt.NDArray[np.float64]
Source = Literal["own", "common", "none"]

# Standard deviations of the normal priors of a map's log scale and offset: of the common map around the identity, and
# of a label's map around the common one.
COMMON_SPREAD, OWN_SPREAD = np.array([0.5, 1.0]), np.array([0.3, 1.0])
# Least number of positives, and of negatives, for a map: fewer give no reliable standard error.
COMMON_IMAGES, OWN_IMAGES = 10, 5
STEPS, HALVINGS, CONVERGED, ROUNDING = 50, 12, 1e-8, 1e-12  # of Newton's method
MOST_CHANGE = 1.0  # of a parameter in one step


@dataclass(frozen=True, slots=True)
class LabelScaling:
    """The decision about the map of one label.

    source: own: its own map; common: that of all labels; none: the identity
    gain: fall of the label's log loss by an own map, cross-validated on the held-out images, against the common map or
        the identity; standard_error: of the gain; both None if the label has too few positives or negatives
    """

    source: Source
    gain: float | None = None
    standard_error: float | None = None


def fit_calibration(
    logits: npt.NDArray[np.floating], targets: npt.NDArray[np.integer], groups: Sequence[str] = ()
) -> tuple[Calibration, tuple[LabelScaling, ...]]:
    """Return the calibration of L labels, and the decision about each.

    logits: float [N, L]; targets: int [N, L], 1, 0, or -1 if unknown: those take no part. groups: of the images, as in
    `Split`; a group is left out as a whole.
    """
    answers = _Answers.of(logits, targets, groups)
    count = logits.shape[1]
    identity = np.zeros((count, 2))
    nothing = np.zeros((answers.clusters, count, 2))
    common, others = _common(answers)
    fitted, information = _fit(answers, common, OWN_SPREAD)
    own_others = fitted + _steps_without(answers, fitted, information)
    base = nothing if others is None else others
    gain, error = answers.gain(base, own_others)
    enough = np.minimum(answers.positives, answers.negatives) >= OWN_IMAGES
    used = enough & (gain > error)
    fallback: Source = "none" if others is None else "common"
    parameters = np.where(used[:, None], fitted, common if others is not None else identity)
    decisions = tuple(
        LabelScaling("own" if used[index] else fallback, *((float(gain[index]), float(error[index])) if known else ()))
        for index, known in enumerate(enough & np.isfinite(error))
    )
    return Calibration(np.exp(parameters[:, 0]), parameters[:, 1]), decisions


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """Held-out answers. logits, right: float64 [N, L]; known: float64 [N, L], 0 or 1; cluster: int [N]."""

    logits: Array
    right: Array
    known: Array
    cluster: npt.NDArray[np.int64]

    @classmethod
    def of(cls, logits: npt.NDArray[np.floating], targets: npt.NDArray[np.integer], groups: Sequence[str]) -> _Answers:
        cluster = cluster_indices(groups)
        cluster = np.arange(len(targets)) if cluster is None else cluster
        right, known = (targets == 1).astype(np.float64), (targets >= 0).astype(np.float64)
        return cls(logits.astype(np.float64), right, known, cluster)

    @property
    def clusters(self) -> int:
        return int(self.cluster.max()) + 1

    @property
    def positives(self) -> Array:
        return (self.known * self.right).sum(axis=0)

    @property
    def negatives(self) -> Array:
        return (self.known * (1 - self.right)).sum(axis=0)

    def losses(self, parameters: Array) -> Array:
        """Return log losses [N, L]; parameters: log scale and offset, [L, 2], or [N, L, 2] for each image."""
        logits = np.exp(parameters[..., 0]) * self.logits + parameters[..., 1]
        losses: Array = self.known * (np.logaddexp(0, logits) - self.right * logits)
        return losses

    def by_cluster(self, values: Array) -> Array:
        """Return the sums [K, ...] of values [N, ...] over the images of each cluster."""
        if self.clusters == len(values):
            return values
        sums: Array = np.zeros((self.clusters, *values.shape[1:]))
        np.add.at(sums, self.cluster, values)
        return sums

    def gain(self, base: Array, others: Array) -> tuple[Array, Array]:
        """Return the fall of the log loss of each label, and its standard error, both [L].

        base, others: parameters [K, L, 2] that all clusters but one give to the images of this one.
        """
        gains = self.losses(base[self.cluster]) - self.losses(others[self.cluster])
        return _mean_and_error(self.by_cluster(gains), self.by_cluster(self.known))


def _common(answers: _Answers) -> tuple[Array, Array | None]:
    """Return the common map [L, 2], and those of all clusters but one, [K, L, 2]; None if it is not used."""
    count = answers.logits.shape[1]
    if min(answers.positives.sum(), answers.negatives.sum()) < COMMON_IMAGES or answers.clusters < 2:
        return np.zeros((count, 2)), None
    row = np.repeat(answers.cluster, count)
    logits, right, known = (values.reshape(-1, 1) for values in (answers.logits, answers.right, answers.known))
    one = _Answers(logits, right, known, row)
    fitted, information = _fit(one, np.zeros((1, 2)), COMMON_SPREAD)
    others = fitted + _steps_without(one, fitted, information)
    gain, error = one.gain(np.zeros_like(others), others)
    if not gain[0] > error[0]:
        return np.zeros((count, 2)), None
    return np.repeat(fitted, count, axis=0), np.repeat(others, count, axis=1)


def _fit(answers: _Answers, mean: Array, spread: Array) -> tuple[Array, Array]:
    """Return the most probable log scale and offset of each label, [L, 2], and the information there, [3, L].

    mean: [L, 2], of the prior. Fisher scoring, with steps that are halved until the cost falls.
    """
    parameters, precision = mean.copy(), spread**-2.0

    def cost(parameters: Array) -> Array:
        penalty = precision * np.square(parameters - mean)
        total: Array = answers.losses(parameters).sum(axis=0) + penalty.sum(axis=1) / 2
        return total

    costs = cost(parameters)
    for _ in range(STEPS):
        terms = _derivatives(answers, parameters).sum(axis=1)
        gradient = terms[:2].T + precision * (parameters - mean)
        step = -_solved(_with_prior(terms[2:], precision), gradient.T).T.clip(-MOST_CHANGE, MOST_CHANGE)
        share = np.ones(len(step))
        for _ in range(HALVINGS):
            after = cost(parameters + share[:, None] * step)
            higher = after > costs * (1 + ROUNDING)
            if not higher.any():
                break
            share[higher] /= 2
        share[higher] = 0
        parameters = parameters + share[:, None] * step
        costs = np.where(higher, costs, after)
        if np.abs(share[:, None] * step).max() < CONVERGED:
            break
    return parameters, _with_prior(_derivatives(answers, parameters)[2:].sum(axis=1), precision)


def _derivatives(answers: _Answers, parameters: Array) -> Array:
    """Return the gradient of the log losses and their Fisher information, [5, N, L].

    The rows are d/da, d/db, and the information of aa, ab and bb, for the log scale a and the offset b.
    """
    scaled = np.exp(parameters[:, 0]) * answers.logits
    probabilities = sigmoid(scaled + parameters[:, 1])
    excess = answers.known * (probabilities - answers.right)
    weights = answers.known * probabilities * (1 - probabilities)
    return np.stack([excess * scaled, excess, weights * scaled**2, weights * scaled, weights])


def _with_prior(information: Array, precision: Array) -> Array:
    """Return the information [3, L] of the losses and of the prior."""
    return information + np.array([precision[0], 0, precision[1]])[:, None]


def _solved(information: Array, gradient: Array) -> Array:
    """Return x [2, ...] with `information @ x = gradient`; information: [3, ...]; gradient: [2, ...]."""
    aa, ab, bb = information
    solved: Array = np.stack([bb * gradient[0] - ab * gradient[1], aa * gradient[1] - ab * gradient[0]])
    return solved / (aa * bb - ab**2)


def _steps_without(answers: _Answers, fitted: Array, information: Array) -> Array:
    """Return the change of the parameters by leaving each cluster out, [K, L, 2]: one Newton step."""
    terms = np.stack([answers.by_cluster(values) for values in _derivatives(answers, fitted)])
    steps = _solved(information[:, None] - terms[2:], terms[:2])
    return np.moveaxis(steps, 0, -1).clip(-MOST_CHANGE, MOST_CHANGE)


def _mean_and_error(sums: Array, counts: Array) -> tuple[Array, Array]:
    """Return the mean over images, [L], and its standard error, infinite for one cluster. sums, counts: [K, L]."""
    total, clusters = np.maximum(counts.sum(axis=0), 1), len(sums)
    mean = sums.sum(axis=0) / total
    if clusters < 2:
        return mean, np.full_like(mean, math.inf)
    spread = sums - counts * mean
    return mean, np.sqrt((spread**2).sum(axis=0) * clusters / (clusters - 1)) / total
