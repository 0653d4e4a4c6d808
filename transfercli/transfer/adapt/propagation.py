"""Label propagation: labels spread from labelled images to unlabelled ones along a graph of nearest neighbours.

Local and global consistency (Zhou et al. 2004, "Learning with local and global consistency") on the cosine of features.
scikit-learn's `LabelSpreading` takes one labelling at a time; here all folds of a cross-validation share the graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

NEIGHBOURS = 10
CLAMPING = 0.9  # share of an image's scores that comes from its neighbours
STEPS = 60  # 0.9 ** 60 is 0.002: what later steps add to the scores cannot change a class


@dataclass(frozen=True)
class Graph:
    """Symmetric, normalised nearest-neighbour graph of images: sparse float32 [N, N]."""

    edges: sparse.csr_matrix

    def spread(self, targets: np.ndarray, labelled: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the class of each image, int [N], and its confidence, float64 [N] from 0 to 1.

        targets: int [N], read only where `labelled`, bool [N], is True. Each class has the same total score to start
        with. An image that no label reaches has confidence 0.
        """
        start = np.zeros((len(targets), classes), np.float32)
        start[labelled, targets[labelled]] = 1
        start /= np.maximum(start.sum(axis=0), 1)
        scores = start
        for _ in range(STEPS):
            scores = CLAMPING * (self.edges @ scores) + (1 - CLAMPING) * start
        shares = scores / np.maximum(scores.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        second, first = np.sort(shares, axis=1)[:, -2:].T
        return shares.argmax(axis=1), (first - second).astype(np.float64)


def neighbour_graph(features: np.ndarray) -> Graph:
    """Return the graph of the nearest neighbours of features, float32 [N, D], by cosine."""
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(features) - 1)
    search = NearestNeighbors(n_neighbors=count, metric="cosine", algorithm="brute").fit(features)
    distances, indices = search.kneighbors()
    rows = np.repeat(np.arange(len(features)), count)
    similar = np.maximum(1 - distances.ravel(), 0).astype(np.float32)
    one_way = sparse.csr_matrix((similar, (rows, indices.ravel())), (len(features), len(features)))
    both = one_way.maximum(one_way.T)
    root = 1 / np.sqrt(np.maximum(np.asarray(both.sum(axis=1)).ravel(), np.finfo(np.float32).tiny))
    scaled = sparse.diags(root) @ both @ sparse.diags(root)
    return Graph(sparse.csr_matrix(scaled.astype(np.float32)))
