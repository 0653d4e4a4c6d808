"""Coordinates in which a linear model is solved: features centred, scaled and, if there are few images, reduced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transfercli.rows import Rows, release

WIDE = 4  # features per image from which the reduction by eigenvectors of an N x N matrix saves time
BLOCK = 1024  # rows or columns converted to float64 at a time
NOISE = 1e-12  # relative to the largest eigenvalue; a direction with a smaller one is rounding error


@dataclass(frozen=True)
class Coordinates:
    """`P` coordinates of each of `N` images, and the transformation back to `D` features.

    rows: float32 [N, P + 1], the last column ones. mean: float64 [D]. scale: the root mean square distance of images
    from the mean, so that a strength means the same for any number of features. (A scale for each feature would
    amplify those that hardly vary, which costs 2 to 10 points of accuracy on 25 images.) centred: float32 [N, D],
    scaled. span: float64 [N, P]; `centred.T @ span` are the coordinate axes in feature space; None if the coordinates
    are the features.
    """

    rows: np.ndarray
    mean: np.ndarray
    scale: float
    centred: np.ndarray
    span: np.ndarray | None

    def to_feature_space(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the kernel [D, C] and bias [C] on features, float64, of parameters theta [C, P + 1] on rows."""
        weights = theta[:, :-1].T
        if self.span is not None:
            coefficients = self.span @ weights
            weights = np.concatenate([block.T @ coefficients for block in _columns(self.centred)])
        kernel = weights / self.scale
        return kernel, theta[:, -1] - self.mean @ kernel


def blocks(features: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield features float32 [D] as blocks [n, D] of at most `BLOCK` rows, each with its slice.

    So memory holds no second copy of all features, and what was read of a mapped file leaves it.
    """
    for start in range(0, len(features), BLOCK):
        stop = min(start + BLOCK, len(features))
        yield slice(start, stop), features.read(np.arange(start, stop))
        release(features)


def coordinates(features: Rows, wide: float | None = None) -> Coordinates:
    """Return coordinates of features, N rows float32 [D]; they preserve distances, so an L2 penalty keeps its meaning.

    wide: features per image from which they are reduced to the span of the images; `WIDE` if None.

    If there are many more features than images, the optimum is in the span of the images (representer theorem; Hastie
    & Tibshirani 2004, "Efficient quadratic regularization for expression arrays"). The eigenvectors of the N x N matrix
    of inner products are its axes: the solution is the same, at a cost that does not depend on D.
    """
    count = len(features)
    mean = np.sum([block.sum(0, dtype=np.float64) for _, block in blocks(features)], axis=0) / count
    width = len(mean)
    rows = np.ones((count, width + 1), np.float32)
    total = 0.0
    for block_rows, block in blocks(features):
        deviations = block - mean
        total += float((deviations**2).sum())
        rows[block_rows, :-1] = deviations
    scale = (total / count) ** 0.5 or 1.0  # 1 if no feature varies
    centred = rows[:, :-1]
    centred /= np.float32(scale)
    if width < (WIDE if wide is None else wide) * count:
        return Coordinates(rows, mean, scale, centred, None)
    reduced, span = _reduce(centred)
    return Coordinates(reduced, mean, scale, centred, span)


def _reduce(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows in the axes of their own span, with a column of ones, and the span."""
    gram = sum(block @ block.T for block in _columns(centred))
    values, vectors = np.linalg.eigh(gram)
    kept = values > NOISE * max(values[-1], NOISE)
    lengths, vectors = np.sqrt(values[kept]), vectors[:, kept]
    ones = np.ones((len(centred), 1))
    return np.concatenate([vectors * lengths, ones], 1).astype(np.float32), vectors / lengths


def _columns(matrix: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the matrix in blocks of columns, float64."""
    for start in range(0, matrix.shape[1], BLOCK):
        yield matrix[:, start : start + BLOCK].astype(np.float64)
