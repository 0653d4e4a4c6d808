"""Linear heads on many subsets of the same images, solved together: every subset is a vector of image weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.logistic import Problem, fit
from transfercli.transfer.probe.probe import MAX_PARAMETERS
from transfercli.transfer.probe.row_space import Coordinates, coordinates

TOLERANCE = 1e-8  # relative to the loss: answers that still change are closer to a tie than probabilities of 1e-3


def solve_subsets(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    queries: np.ndarray,
    strength: float,
    reporter: Reporter,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (subset, probabilities float64 [M, C] of the queries) by the head that is solved on each subset.

    All heads have the same penalty, start from the head of the mean weights, and share their passes over the images.

    Args:
        features: float32 [N, D].
        targets: int [N], from 0 to C - 1.
        weights: float64 [K, N], weights of the images in each subset; 0 for an image that is not in it. Only their
            ratios matter.
        queries: float32 [M, D].
        strength: as `probe.solve` chooses it.

    A class without images in a subset has probability 0; in an empty subset all classes are equally probable.
    """
    import scipy.linalg  # noqa: F401 - loads its own BLAS, which can be limited only after that
    from threadpoolctl import threadpool_limits

    space = coordinates(ArrayRows(features))
    classes = int(targets.max()) + 1
    present = np.stack([np.bincount(targets, each, classes) > 0 for each in weights])
    done = 0
    for pattern in np.unique(present, axis=0):
        subsets = np.flatnonzero((present == pattern).all(axis=1))
        if pattern.sum() < 2:
            constant = np.tile(pattern if pattern.any() else np.full(classes, 1 / classes), (len(queries), 1))
            yield from ((int(subset), constant.astype(np.float64)) for subset in subsets)
            continue
        rows = np.flatnonzero(pattern[targets] & (weights[subsets] > 0).any(axis=0))
        indices = np.searchsorted(np.flatnonzero(pattern), targets[rows])
        inputs = np.ascontiguousarray(space.rows[rows])
        together = max(1, MAX_PARAMETERS // (int(pattern.sum()) * inputs.shape[1]))
        start = None
        for first in range(0, len(subsets), together):
            batch = subsets[first : first + together]
            problem = Problem(inputs, indices, _normalised(weights[np.ix_(batch, rows)]), int(pattern.sum()))
            with threadpool_limits(1, "blas"):
                if start is None:
                    start = _mean_head(problem, strength)
                thetas = fit(problem, np.repeat(start, len(batch), axis=1), strength, TOLERANCE, dense=True)
            for number, subset in enumerate(batch):
                yield int(subset), _probabilities(space, thetas[:, number], queries, pattern)
            done += len(batch)
            reporter.progress("heads", done, len(weights), "heads")


def _normalised(weights: np.ndarray) -> np.ndarray:
    """Return weights [K, N] whose sum is the number of images of the subset, so that the penalty means the same."""
    scaled: np.ndarray = weights * ((weights > 0).sum(axis=1) / weights.sum(axis=1))[:, None]
    return scaled


def _mean_head(problem: Problem, strength: float) -> np.ndarray:
    """Return the parameters [C, 1, P] of the head on the mean weights of a problem's subsets."""
    mean = Problem(problem.rows, problem.targets, problem.weights.mean(axis=0)[None], problem.classes)
    return fit(mean, mean.start(), strength, TOLERANCE, dense=True)


def _probabilities(space: Coordinates, theta: np.ndarray, queries: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Return the probabilities float64 [M, C] of a head with parameters [C', P] for the classes of a pattern."""
    kernel, bias = space.to_feature_space(theta)
    logits = queries.astype(np.float64) @ kernel + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    found = np.zeros((len(queries), len(pattern)))
    found[:, pattern] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return found
