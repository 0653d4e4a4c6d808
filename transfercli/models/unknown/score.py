"""The out-of-distribution score of a run: a weighted sum of four parts, computed from features and logits.

Features are scaled to length 1 and reduced to coordinates: their largest principal components, and the distance from
the plane of these, as in ViM (Wang et al. 2022), because noise differs from the training images mostly outside of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

ENERGY, NEIGHBOUR, CLASS, BACKGROUND = PARTS = ("energy", "neighbour", "class", "background")

# The share of known images, at least, whose score is at most the threshold: they are not strange.
FAMILIAR_SHARE = 0.95
# Added to a squared distance before its root is taken: the root of float32's rounding error would be large at 0.
LEAST_SQUARE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Parameters of the distances, for features of D channels, P coordinates, C classes and M stored images.

    mean: float32 [D]. axes: float32 [D, K], the principal components; P is K, or K + 1 with the distance from their
    plane. origin: float32 [P], the mean coordinates of the training images. within, total: float32 [P, P]; they whiten
    coordinates by the covariance within the classes, and by that of all images. centres: float32 [C, P], the class
    means, whitened by `within`. neighbours: float32 [M, P], coordinates of training images.
    """

    mean: np.ndarray
    axes: np.ndarray
    origin: np.ndarray
    within: np.ndarray
    total: np.ndarray
    centres: np.ndarray
    neighbours: np.ndarray

    @property
    def off_plane(self) -> bool:
        """True if the last coordinate is the distance from the plane of the components."""
        return len(self.origin) > self.axes.shape[1]

    def coordinates(self, features: np.ndarray) -> np.ndarray:
        """Return the coordinates float64 [N, P] of features [N, D]."""
        values = features.astype(np.float64)
        centred = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12) - self.mean
        on_plane = centred @ self.axes
        if not self.off_plane:
            return on_plane
        squares = np.square(centred).sum(axis=1) - np.square(on_plane).sum(axis=1)
        return np.column_stack([on_plane, np.sqrt(np.maximum(squares, 0) + LEAST_SQUARE)])

    def part(self, name: str, coordinates: np.ndarray) -> np.ndarray:
        """Return one part of the score, float64 [N], for coordinates [N, P].

        neighbour: the distance to the nearest stored image (Sun et al. 2022, with k = 1). class: the squared
        Mahalanobis distance to the nearest class mean (Lee et al. 2018). background: the squared distance to the mean
        of all images; class minus background is the relative Mahalanobis distance (Ren et al. 2021).
        """
        if name == NEIGHBOUR:
            return np.sqrt(_squared_distances(coordinates, self.neighbours).min(axis=1) + LEAST_SQUARE)
        centred = coordinates - self.origin
        if name == CLASS:
            return _squared_distances(centred @ self.within, self.centres).min(axis=1)
        return np.square(centred @ self.total).sum(axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class UnknownScore:
    """Score by which a run finds unknown images; above `threshold` an image is strange.

    name: a key of `SCORES`. weights: part -> its factor. space: None if the energy is the only part.
    separation: score -> mean AUROC with which it separated classes that were left out; empty if it was not measured.
    taps: True if its features are those of the head's taps; False for those of the base's output.
    """

    name: str
    threshold: float
    weights: Mapping[str, float]
    space: Space | None = None
    separation: Mapping[str, float] = field(default_factory=dict)
    taps: bool = False

    def scores(self, features: np.ndarray, energy: np.ndarray) -> np.ndarray:
        """Return the scores float64 [N] for features [N, D] and energies [N] (minus the logsumexp of the logits)."""
        total = self.weights.get(ENERGY, 0.0) * energy.astype(np.float64)
        if self.space is not None:
            coordinates = self.space.coordinates(features)
            for name in (NEIGHBOUR, CLASS, BACKGROUND):  # always in this order, so that sums are the same to the bit
                if name in self.weights:
                    total += self.weights[name] * self.space.part(name, coordinates)
        return total


def energies(logits: np.ndarray) -> np.ndarray:
    """Return the energy of each image, float64 [N] (Liu et al. 2020, "Energy-based Out-of-distribution Detection").

    It is minus the logsumexp of the image's logits [N, C]: high if all logits are small.
    """
    top = logits.max(axis=1)
    return -(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)))


def label_energies(logits: np.ndarray) -> np.ndarray:
    """Return the energy of each image with any of several labels, float64 [N] (Wang et al. 2021, "Can multi-label
    classification networks know what they don't know?").

    It is minus the sum of the energies of all labels, log(1 + exp(logit)): high if no label is probable.
    """
    return -np.logaddexp(0, logits.astype(np.float64)).sum(axis=1)


def _squared_distances(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the squared distances [N, M] of points [N, P] from others [M, P]."""
    products = points @ others.T.astype(np.float64)
    squares = np.square(points).sum(axis=1)[:, None] - 2 * products + np.square(others.astype(np.float64)).sum(axis=1)
    return np.maximum(squares, 0)
