"""Stratified bootstrap: the images of each class are drawn with replacement, as many as the class has.

Groups of images are drawn as a whole and from all groups: a group may have images of several classes, and a class may
have too few groups to draw from. The same weights are used for every metric, every class and both models of a
comparison, which makes it paired.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from transfercli.evaluation.metrics.confusion import Array, Targets

RESAMPLES = 1000
# Numbers in one block of weights: 16 MB an array, of which a few are in memory at a time.
BLOCK_NUMBERS = 2_000_000


def resample_weights(
    targets: Targets, number: int, rng: np.random.Generator, of_image: Targets | None = None
) -> Iterator[Array]:
    """Yield blocks of weights float64 [N, r], `number` columns in all: how often each resample holds each image.

    of_image: int [N], the cluster of each image; None if images are drawn. Images are the first axis, so that sums over
    sorted images read contiguous memory. The sums of the columns are equal only without clusters, which may differ in
    size.
    """
    strata = targets if of_image is None else np.zeros(int(of_image.max()) + 1, np.int64)
    units = len(strata)
    by_stratum = np.argsort(strata, kind="stable")
    sizes = np.bincount(strata)
    sorted_strata = strata[by_stratum]
    start_of, size_of = (values[sorted_strata][:, None] for values in (np.cumsum(sizes) - sizes, sizes))
    block = max(1, BLOCK_NUMBERS // len(targets))
    for start in range(0, number, block):
        columns = min(block, number - start)
        drawn = by_stratum[start_of + rng.integers(size_of, size=(units, columns))]
        cells = drawn * columns + np.arange(columns)
        counts = np.bincount(cells.ravel(), minlength=units * columns)
        weights = counts.reshape(units, columns).astype(np.float64)
        yield weights if of_image is None else weights[of_image]
