"""The coordinates a linear model is solved in: centred, brought to one scale and, where images are few, fewer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transfercli.rows import Rows

WIDE = 4  # features an image from which the eigenvectors of an N x N matrix cost less than the products they save
BLOCK = 1024  # rows or columns taken to float64 at a time
NOISE = 1e-12  # share of the largest eigenvalue below which a direction is rounding


@dataclass(frozen=True)
class Coordinates:
    """`N` images with `P` coordinates each, and the way back to kernels on the features themselves.

    rows: float32 [N, P + 1], the last column ones. mean: float64 [D]; scale: the root mean square distance of an image
    from the mean, so that a strength means the same for any number of features. (A scale for each feature would blow
    up those that hardly vary: 2 to 10 points of accuracy on 25 images.) centred: float32 [N, D], scaled; span: float64
    [N, P], with which `centred.T @ span` are the directions of the coordinates in feature space; None where the
    coordinates are the features.
    """

    rows: np.ndarray
    mean: np.ndarray
    scale: float
    centred: np.ndarray
    span: np.ndarray | None

    def fold_back(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Kernel [D, C] and bias [C], both float64, that do to raw features what theta [C, P + 1] does to the rows."""
        weights = theta[:, :-1].T
        if self.span is not None:
            coefficients = self.span @ weights
            weights = np.concatenate([block.T @ coefficients for block in _columns(self.centred)])
        kernel = weights / self.scale
        return kernel, theta[:, -1] - self.mean @ kernel


def blocks(features: Rows) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield features float32 [D] as blocks [n, D] of at most `BLOCK` rows, so that no second copy of all is held."""
    for begin in range(0, len(features), BLOCK):
        end = min(begin + BLOCK, len(features))
        yield slice(begin, end), features.read(np.arange(begin, end))


def coordinates(features: Rows) -> Coordinates:
    """The coordinates of N rows of features, float32 [D]; they keep all distances, so an L2 penalty keeps its meaning.

    With many more features than images the optimum lies in the span of the images (the representer theorem; Hastie &
    Tibshirani 2004, "Efficient quadratic regularization for expression arrays"), whose axes are eigenvectors of the
    N x N matrix of inner products: the solution is the same, at a cost that no longer depends on D.
    """
    count = len(features)
    mean = np.sum([block.sum(0, dtype=np.float64) for _, block in blocks(features)], axis=0) / count
    width = len(mean)
    rows = np.ones((count, width + 1), np.float32)
    total = 0.0
    for place, block in blocks(features):
        far = block - mean
        total += float((far**2).sum())
        rows[place, :-1] = far
    scale = (total / count) ** 0.5 or 1.0  # no feature varies: there is nothing to scale
    centred = rows[:, :-1]
    centred /= np.float32(scale)
    if width < WIDE * count:
        return Coordinates(rows, mean, scale, centred, None)
    reduced, span = _reduce(centred)
    return Coordinates(reduced, mean, scale, centred, span)


def _reduce(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows in the axes of their own span, with a column of ones, and the span."""
    gram = sum(block @ block.T for block in _columns(centred))
    values, vectors = np.linalg.eigh(gram)
    kept = values > NOISE * max(values[-1], NOISE)
    lengths, vectors = np.sqrt(values[kept]), vectors[:, kept]
    ones = np.ones((len(centred), 1))
    return np.concatenate([vectors * lengths, ones], 1).astype(np.float32), vectors / lengths


def _columns(matrix: np.ndarray) -> list[np.ndarray]:
    return [matrix[:, begin : begin + BLOCK].astype(np.float64) for begin in range(0, matrix.shape[1], BLOCK)]
