"""Stratified bootstrap: every class keeps its number of images, the images of a class are drawn with replacement.

The shortcuts draw from the same distribution as drawing images one by one, at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.counts import Array, Counts, Targets

# Numbers held at once: a few arrays of 8 MB each, which stay near the cores' caches.
AT_ONCE = 1_000_000


def resampled_counts(
    targets: Targets, predicted: Targets, classes: int, number: int, rng: np.random.Generator
) -> Counts:
    """Counts [number, C] of as many resamples.

    What the images of one class were taken for is a multinomial draw from its row of the confusion matrix; empty cells
    stay empty, so only the others are drawn.
    """
    right = np.zeros((number, classes))
    taken_for = np.zeros((number, classes))
    support = np.bincount(targets, minlength=classes)
    for truth in np.flatnonzero(support):
        cells, sizes = np.unique(predicted[targets == truth], return_counts=True)
        drawn = rng.multinomial(support[truth], sizes / sizes.sum(), size=number)
        taken_for[:, cells] += drawn
        right[:, truth] = drawn[:, cells == truth].sum(axis=1)
    return Counts(right, taken_for, np.broadcast_to(support.astype(np.float64), right.shape))


def resampled_means(targets: Targets, values: Array, number: int, rng: np.random.Generator) -> Array:
    """float64 [number]: the mean of `values` [N] over as many resamples."""
    return np.concatenate([values[drawn].mean(axis=1) for drawn in _drawn(targets, number, rng)])


def resampled_weights(targets: Targets, number: int, rng: np.random.Generator) -> Iterator[Array]:
    """Blocks of weights float64 [r, N], `number` rows in all: how often each image was drawn."""
    images = len(targets)
    for drawn in _drawn(targets, number, rng):
        rows = len(drawn)
        flat = drawn + np.arange(rows)[:, None] * images
        yield np.bincount(flat.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float64)


def _drawn(targets: Targets, number: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    """Blocks of image indices int64 [r, N]."""
    by_class = np.argsort(targets, kind="stable")
    size = np.bincount(targets)
    mine = targets[by_class]
    first, among = (np.cumsum(size) - size)[mine], size[mine]
    block = max(1, AT_ONCE // len(targets))
    for start in range(0, number, block):
        rows = min(block, number - start)
        yield by_class[first + rng.integers(among, size=(rows, len(targets)))]
