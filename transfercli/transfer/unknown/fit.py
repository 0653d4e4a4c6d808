"""Fit of out-of-distribution scores to the features of training images, and their threshold on validation images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from transfercli.models.unknown.score import BACKGROUND, CLASS, ENERGY, FAMILIAR_SHARE, NEIGHBOUR, Space, UnknownScore
from transfercli.transfer.probe.families import family_of

COMPONENTS = 64
STORED_IMAGES = 1000
SHRINKAGE = 0.05  # share of the mean variance that is added to every direction of a covariance
LEAST_SPREAD = 0.01
BEYOND = 0.01  # of the distance from the median; how far above the largest value a limit may be

# Score -> the parts that it adds up, each divided by its own spread on the validation images.
SCORES: dict[str, tuple[Mapping[str, float], ...]] = {
    "neighbour_and_relative_mahalanobis": ({NEIGHBOUR: 1}, {CLASS: 1, BACKGROUND: -1}),
    "neighbour": ({NEIGHBOUR: 1},),
    "relative_mahalanobis": ({CLASS: 1, BACKGROUND: -1},),
    "mahalanobis": ({CLASS: 1},),
    "energy": ({ENERGY: 1},),
}
DEFAULT = next(iter(SCORES))


@dataclass(frozen=True, eq=False)
class Known:
    """Known images: features float32 [N, D], energies float64 [N]; targets, groups: as in `Split`."""

    features: np.ndarray
    energy: np.ndarray
    targets: np.ndarray
    groups: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.targets)


def fit_space(features: np.ndarray, targets: np.ndarray, seed: int) -> Space:
    """Fit the parameters of the distances to training images: features [N, D], targets as in `Split`.

    The class of an image with several labels is the rarest of them.
    """
    targets = family_of(targets).strata(targets)
    units = features.astype(np.float64)
    units /= np.maximum(np.linalg.norm(units, axis=1, keepdims=True), 1e-12)
    mean = units.mean(axis=0)
    axes = _principal_axes(units - mean)
    empty = np.empty((0, 0))
    plane = Space(_stored(mean), _stored(axes), _origin_for(axes), empty, empty, empty, empty)
    coordinates = plane.coordinates(features)
    present, classes = np.unique(targets, return_inverse=True)
    means = np.stack([coordinates[classes == number].mean(axis=0) for number in range(len(present))])
    origin = coordinates.mean(axis=0)
    within = _whitening(coordinates - means[classes])
    chosen = stratified_sample(targets, STORED_IMAGES, seed)
    return replace(
        plane,
        origin=_stored(origin),
        within=_stored(within),
        total=_stored(_whitening(coordinates - origin)),
        centres=_stored((means - origin) @ within),
        neighbours=_stored(coordinates[chosen].astype(np.float16)),
    )


def fit_score(name: str, space: Space, validation: Known) -> UnknownScore:
    """Return the score `name` with its weights and threshold from validation images.

    The parts are measured in units of their spread, from the median to the largest familiar value, so that they count
    equally.
    """
    weights: dict[str, float] = {}
    for terms in SCORES[name]:
        spread = _spread(terms, space, validation) if len(SCORES[name]) > 1 else 1.0
        weights |= {part: factor / spread for part, factor in terms.items()}
    score = UnknownScore(name, 0.0, weights, None if set(weights) == {ENERGY} else space)
    values = score.scores(validation.features, validation.energy)
    return replace(score, threshold=familiar_limit(values, validation.groups))


def _spread(terms: Mapping[str, float], space: Space, validation: Known) -> float:
    """Return the spread of distances on validation images, at least `LEAST_SPREAD` of what the training images have.

    Without that bound, validation images that are copies of training images would make the weight of a part infinite.
    """
    values = UnknownScore("", 0.0, terms, space).scores(validation.features, validation.energy)
    deviations = np.square(space.neighbours - space.origin).sum(axis=1)
    typical = float(np.sqrt(deviations.mean())) if NEIGHBOUR in terms else float(len(space.origin))
    return max(float(np.quantile(values, FAMILIAR_SHARE) - np.median(values)), LEAST_SPREAD * typical, 1e-6)


def familiar_limit(values: np.ndarray, groups: Sequence[str] = ()) -> float:
    """Return the value that a new known image exceeds with a probability of at most 5%, from known images' [N].

    It is the conformal quantile: rank ceil(0.95 (n + 1)) of n. With groups, images of one group count as one together,
    as a new image comes from a new group (Dunn et al. 2023), and n is the number of groups. With n below 19 no value
    can hold that promise, and the largest one counts. The limit is half way to the next larger value, so that rounding
    in another runtime moves no image across it.
    """
    order = np.argsort(values, kind="stable")
    _, group, sizes = np.unique(groups or np.arange(len(values)), return_inverse=True, return_counts=True)
    shares = np.cumsum(1 / sizes[group[order]])
    rank = math.ceil(FAMILIAR_SHARE * (len(sizes) + 1) - 1e-9)
    place = int(np.searchsorted(shares, rank - 1e-9))
    value = values[order[min(place, len(values) - 1)]]
    larger = values[values > value]
    beyond = larger.min() if len(larger) else value + BEYOND * (value - np.median(values))
    return float((value + beyond) / 2)


def stratified_sample(targets: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Return at most `limit` indices of images, sorted: of every class the same number, or all that it has.

    The class of an image with several labels is the rarest of them.
    """
    targets = family_of(targets).strata(targets)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(targets))
    rank = np.empty(len(targets), np.int64)  # of an image within its class
    for label in np.unique(targets):
        own = shuffled[targets[shuffled] == label]
        rank[own] = np.arange(len(own))
    order = shuffled[np.argsort(rank[shuffled], kind="stable")]
    return np.sort(order[:limit])


def _principal_axes(centred: np.ndarray) -> np.ndarray:
    """Return the largest principal components, float64 [D, K]; all D directions if there are at most `COMPONENTS`."""
    from scipy.linalg import eigh

    width = centred.shape[1]
    if width <= COMPONENTS:
        return np.eye(width)
    if len(centred) < width:  # the same components from the smaller matrix
        kept = min(COMPONENTS, len(centred) - 1)
        values, vectors = eigh(centred @ centred.T, subset_by_index=(len(centred) - kept, len(centred) - 1))
        axes = centred.T @ vectors[:, values > 1e-12 * max(values[-1], 1e-300)]
        return axes / np.maximum(np.linalg.norm(axes, axis=0), 1e-300)
    _, vectors = eigh(centred.T @ centred, subset_by_index=(width - COMPONENTS, width - 1))
    return vectors


def _origin_for(axes: np.ndarray) -> np.ndarray:
    """Return zeros for each coordinate: one more than there are components if these do not span all channels."""
    width, components = axes.shape
    return np.zeros(components + (components < width), np.float32)


def _whitening(deviations: np.ndarray) -> np.ndarray:
    """Return W [P, P], for which the squared length of d @ W is the squared Mahalanobis distance of d."""
    covariance = deviations.T @ deviations / len(deviations)
    mean_variance = np.trace(covariance) / len(covariance)
    covariance[np.diag_indices_from(covariance)] += SHRINKAGE * mean_variance + 1e-12
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(values)


def _stored(values: np.ndarray) -> np.ndarray:
    """Return the values as they are stored, so that a run gives the same scores before and after it is read."""
    return np.ascontiguousarray(values, np.float32)
