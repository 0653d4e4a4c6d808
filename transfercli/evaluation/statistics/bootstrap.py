"""Stratified bootstrap: the images of each class are drawn with replacement, as many as the class has.

The same weights are used for every metric, every class and both models of a comparison, which makes it paired.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from transfercli.evaluation.metrics.confusion import Array, Targets

RESAMPLES = 1000
# Numbers in one block of weights: 16 MB an array, of which a few are in memory at a time.
BLOCK_NUMBERS = 2_000_000


def resample_weights(targets: Targets, number: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield blocks of weights float64 [N, r], `number` columns in all: how often each resample holds each image.

    Images are the first axis, so that sums over sorted images read contiguous memory.
    """
    images = len(targets)
    by_class = np.argsort(targets, kind="stable")
    sizes = np.bincount(targets)
    sorted_targets = targets[by_class]
    class_start, class_size = (values[sorted_targets][:, None] for values in (np.cumsum(sizes) - sizes, sizes))
    block = max(1, BLOCK_NUMBERS // images)
    for start in range(0, number, block):
        columns = min(block, number - start)
        drawn = by_class[class_start + rng.integers(class_size, size=(images, columns))]
        cells = drawn * columns + np.arange(columns)
        weights = np.bincount(cells.ravel(), minlength=images * columns)
        yield weights.reshape(images, columns).astype(np.float64)
