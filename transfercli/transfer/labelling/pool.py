"""Unlabelled images to choose from, as features and predictions of a network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

MAX_WIDTH = 256  # of the features that distances are computed on
FITTED = 4096  # most images that the axes of narrower features are fitted to


@dataclass(frozen=True, eq=False)
class Pool:
    """M unlabelled images of C classes to choose from, and L labelled images.

    Attributes:
        features: float32 [M, D], of unit length or another common scale.
        probabilities: float [M, C], as the present model predicts them.
        labelled: float32 [L, D], features of the images that have a label.
        label_counts: int [C], labelled images of each class.
    """

    features: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.floating]
    labelled: npt.NDArray[np.float32]
    label_counts: npt.NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def guesses(self) -> npt.NDArray[np.int64]:
        """The most probable class of each image, int [M]."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @cached_property
    def squares(self) -> npt.NDArray[np.float32]:
        """The squared length of each image's features, float32 [M]."""
        return np.asarray(np.square(self.features).sum(axis=1))

    def distances_to(self, point: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the squared distances float32 [M] of all images to features float32 [D]."""
        found = self.squares + np.float32(point @ point) - 2 * (self.features @ point)
        return np.asarray(np.maximum(found, 0))


def narrowed(
    features: npt.NDArray[np.float32], labelled: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the features [M, d] and [L, d] in their d <= `MAX_WIDTH` principal axes, which nearly keep distances."""
    width = features.shape[1]
    if width <= MAX_WIDTH:
        return features, labelled
    every = np.unique(np.linspace(0, len(features) - 1, min(FITTED, len(features))).astype(np.int64))
    mean = features[every].mean(axis=0)
    some = features[every] - mean
    if len(some) < width:
        values, vectors = np.linalg.eigh((some @ some.T).astype(np.float64))
        kept = values[-MAX_WIDTH:] > 1e-7 * values[-1]
        axes = some.T @ (vectors[:, -MAX_WIDTH:][:, kept] / np.sqrt(values[-MAX_WIDTH:][kept])).astype(np.float32)
    else:
        axes = np.linalg.eigh((some.T @ some).astype(np.float64))[1][:, -MAX_WIDTH:].astype(np.float32)
    return (features - mean) @ axes, (labelled - mean) @ axes
