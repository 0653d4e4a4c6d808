"""Stratified bootstrap: every class keeps its number of images, the images of a class are drawn with replacement.

One draw of weights serves every metric, every class and both sides of a comparison, which are paired by it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from transfercli.evaluation.metrics.confusion import Array, Targets

RESAMPLES = 1000
# Numbers held at once: a few arrays of 16 MB each.
AT_ONCE = 2_000_000


def drawn_weights(targets: Targets, number: int, rng: np.random.Generator) -> Iterator[Array]:
    """Blocks of weights float64 [N, r], `number` columns in all: how often each image is in each resample.

    Images lie along the first axis, so that sums over sorted images run along whole rows of memory.
    """
    images = len(targets)
    by_class = np.argsort(targets, kind="stable")
    size = np.bincount(targets)
    mine = targets[by_class]
    first, among = (np.cumsum(size) - size)[mine][:, None], size[mine][:, None]
    block = max(1, AT_ONCE // images)
    for start in range(0, number, block):
        columns = min(block, number - start)
        drawn = by_class[first + rng.integers(among, size=(images, columns))]
        cells = drawn * columns + np.arange(columns)
        weights = np.bincount(cells.ravel(), minlength=images * columns)
        yield weights.reshape(images, columns).astype(np.float64)
