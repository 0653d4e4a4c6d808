"""Alignment of features: the images of one domain get the means, variances or covariances of another domain's.

The source is moved to the target and the target stays as it is, so a head that is solved on aligned features reads the
target's features unchanged: the adapted model has no layer more than a plain one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["none", "centre", "moments", "coral"]

# Of the root mean square deviation of all features; keeps a feature that hardly varies from being amplified.
LEAST_DEVIATION = 0.1
DIRECTIONS = 200  # of largest variance, in which covariances are made equal; others keep the source's


@dataclass(frozen=True)
class Alignment:
    """Affine map of features: (x - origin) * scale, turned within `directions` by `turn`, + destination.

    origin, destination, scale: float32 [D]. For each layer its columns, directions float32 [d, k] and turn [k, k];
    none for an alignment without covariances.
    """

    origin: np.ndarray
    destination: np.ndarray
    scale: np.ndarray
    turns: tuple[tuple[slice, np.ndarray, np.ndarray], ...] = ()

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return normalised features of the source, float32 [N, D], in the place of the target's."""
        moved = (features - self.origin) * self.scale
        for columns, directions, turn in self.turns:
            inside = moved[:, columns] @ directions
            moved[:, columns] += (inside @ turn - inside) @ directions.T
        moved += self.destination
        return moved


def align(
    kind: Kind, source: np.ndarray, target: np.ndarray, widths: Sequence[int], weights: np.ndarray | None = None
) -> Alignment:
    """Return the alignment of a source's features, float32 [N, D], with those of a target, [M, D].

    kind: `centre` makes the means equal, `moments` also the variance of each feature, `coral` instead the covariances
    of each layer (Sun et al. 2016, "Return of frustratingly easy domain adaptation"). widths: of the layers, whose sum
    is D. weights: float64 [N], of the source's images in its moments; all 1 if None.
    """
    ones = np.ones(source.shape[1], np.float32)
    if kind == "none":
        return Alignment(0 * ones, 0 * ones, ones)
    weights = np.full(len(source), 1 / len(source)) if weights is None else weights / weights.sum()
    origin, destination = weights @ source, target.mean(axis=0, dtype=np.float64)
    source, target = source - origin, target - destination
    ends = np.cumsum(widths)
    columns = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
    scale, turns = ones, []
    if kind == "moments":
        scale = np.concatenate([_scale(source[:, each], target[:, each], weights) for each in columns])
    elif kind == "coral":
        turns = [(each, *_turn(source[:, each], target[:, each], weights)) for each in columns]
    return Alignment(origin.astype(np.float32), destination.astype(np.float32), scale, tuple(turns))


def _scale(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the ratio of the target's standard deviation of each feature to the source's, float32 [d]."""
    of_source, of_target = weights @ source**2, (target**2).mean(axis=0)
    least = LEAST_DEVIATION * np.sqrt(of_source.mean()) or 1.0
    ratio: np.ndarray = (np.sqrt(of_target) + least) / (np.sqrt(of_source) + least)
    return ratio.astype(np.float32)


def _turn(source: np.ndarray, target: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return directions, float32 [d, k], and the map [k, k] between the covariances of two domains in them."""
    from sklearn.utils.extmath import randomized_svd

    both = np.concatenate([source, target])
    count = min(DIRECTIONS, *both.shape)
    directions = randomized_svd(both, count, random_state=0)[2].T
    root = np.sqrt(weights * len(weights))[:, None]
    of_source, of_target = _covariance((source * root) @ directions), _covariance(target @ directions)
    turn = _power(of_source, -0.5) @ _power(of_target, 0.5)
    return directions.astype(np.float32), turn.astype(np.float32)


def _covariance(rows: np.ndarray) -> np.ndarray:
    """Return the covariance of centred rows, shrunk for their number (Ledoit & Wolf 2004)."""
    from sklearn.covariance import ledoit_wolf

    found: np.ndarray = ledoit_wolf(rows, assume_centered=True)[0]
    return found


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Return a power of a symmetric matrix; eigenvalues of rounding error count as small ones."""
    values, vectors = np.linalg.eigh(matrix)
    least = max(values[-1], np.finfo(np.float64).tiny) * 1e-9
    powered: np.ndarray = (vectors * np.maximum(values, least) ** exponent) @ vectors.T
    return powered
