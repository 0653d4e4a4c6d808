"""Methods that choose the images to label, one image after the other.

A method is made for a pool and a number of images, and then asked for the best image among those that are open. Which
are open may change between two images, so that every method can keep the classes balanced.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from transfercli.transfer.labelling.pool import Pool

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

NEIGHBOURS = 20  # of an image in its cluster, by which it is typical (Hacohen et al. 2022)
MAX_CLUSTERS = 500
PREFILTER = 10  # images for each one to choose, of which clusters are made (Zhdanov 2019)
ITERATIONS = 20  # of k-means
EXACT = 2**20  # points x clusters, from which k-means reads a part of the points at a time
PURITY = 0.95  # of the balls of `ProbCover` (Yehuda et al. 2022)
SAMPLE = 1000  # images whose balls are looked at for the radius
BLOCK = 1024


class Method(Protocol):
    """Choice of one image after the other."""

    def choose(self, open_rows: Mask) -> tuple[int, float]:
        """Return the row of the best image among the open ones, of which there is at least one, and its score."""
        ...


class Margin:
    """Least difference between the two highest probabilities first (Scheffer et al. 2001)."""

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        self.scores = 1 - margins(pool.probabilities)

    def choose(self, open_rows: Mask) -> tuple[int, float]:
        row = _best(self.scores, open_rows)
        return row, float(self.scores[row])


class Entropy(Margin):
    """Highest entropy of the probabilities first; scores in nats."""

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        p = np.asarray(pool.probabilities, np.float64)
        self.scores = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=1)


class RandomChoice(Margin):
    """Random order; the base that other methods are measured by."""

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        self.scores = np.random.default_rng(seed).random(len(pool))


class KCentre:
    """Image farthest from all labelled and chosen ones first: k-centre greedy (Sener & Savarese 2018)."""

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        self.pool = pool
        self.nearest = nearest_squares(pool.features, pool.labelled)
        if not len(pool.labelled):
            self.nearest = pool.distances_to(pool.features.mean(axis=0))

    def choose(self, open_rows: Mask) -> tuple[int, float]:
        row = _best(self.nearest, open_rows)
        score = float(self.nearest[row]) ** 0.5
        self.nearest = np.minimum(self.nearest, self.pool.distances_to(self.pool.features[row]))
        return row, score


class Badge:
    """k-means++ on the gradients of the last layer for the guessed class (Ash et al. 2020, BADGE).

    The gradient of an image is the outer product of its error (probabilities minus the guess) and its features, so
    that inner products of gradients are products of two small ones, and no gradient is ever made.
    """

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        self.pool, self.rng = pool, np.random.default_rng(seed)
        self.errors = np.asarray(pool.probabilities, np.float32).copy()
        self.errors[np.arange(len(pool)), pool.guesses] -= 1
        self.squares = np.square(self.errors).sum(axis=1) * pool.squares
        self.nearest = self.squares.astype(np.float64)
        self.first = True

    def choose(self, open_rows: Mask) -> tuple[int, float]:
        chances = np.where(open_rows, self.nearest, 0)
        if self.first or chances.sum() <= 0:
            row = _best(self.nearest, open_rows)
        else:
            row = int(np.searchsorted(np.cumsum(chances), self.rng.random() * chances.sum(), side="right"))
            row = min(row, int(np.flatnonzero(chances)[-1]))
        score, self.first = float(self.nearest[row]) ** 0.5, False
        products = (self.errors @ self.errors[row]) * (self.pool.features @ self.pool.features[row])
        self.nearest = np.minimum(self.nearest, np.maximum(self.squares + self.squares[row] - 2 * products, 0))
        self.nearest[row] = 0
        return row, score


class TypiClust:
    """Most typical image of the largest cluster without a label first (Hacohen et al. 2022, TypiClust).

    There is a cluster for each labelled image and each image to choose. An image is typical if its nearest neighbours
    in the cluster are near.
    """

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        self.pool = pool
        points = np.concatenate([pool.features, pool.labelled])
        clusters = min(len(pool.labelled) + budget, MAX_CLUSTERS, len(points))
        found = cluster(points, clusters, seed)
        self.cluster_of, labelled = found[: len(pool)], found[len(pool) :]
        self.chosen = np.bincount(labelled, minlength=clusters)
        self.sizes = np.bincount(self.cluster_of, minlength=clusters)
        self.typical = np.zeros(len(pool))
        for number in range(clusters):
            rows = np.flatnonzero(self.cluster_of == number)
            self.typical[rows] = typicality(pool.features[rows])

    def choose(self, open_rows: Mask) -> tuple[int, float]:
        left = np.bincount(self.cluster_of[open_rows], minlength=len(self.sizes)) > 0
        number = _largest_of_fewest(self.sizes, self.chosen, left)
        row = _best(self.typical, open_rows & (self.cluster_of == number))
        self.chosen[number] += 1
        return row, float(self.typical[row])


class TypicalMargin(TypiClust):
    """As `TypiClust`, but images count by how unsure the model is of them: 1 - margin.

    The size of a cluster is the sum of these weights, and an image's typicality is multiplied by its own.
    """

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        super().__init__(pool, budget, seed)
        unsure = 1 - margins(pool.probabilities)
        self.typical *= unsure
        self.sizes = np.bincount(self.cluster_of, unsure, len(self.sizes))


class DiverseMargin:
    """Centres of clusters of unsure images: the smallest margins, in k-means by 1 - margin (Zhdanov 2019).

    The largest cluster comes first. Images that belong to none come last, by their margin.
    """

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        self.unsure = 1 - margins(pool.probabilities)
        rows = np.argsort(-self.unsure, kind="stable")[: PREFILTER * budget]
        clusters = min(budget, MAX_CLUSTERS, len(rows))
        number_of, squares = weighted_clusters(pool.features[rows], self.unsure[rows], clusters, seed)
        self.cluster_of, self.squares = np.full(len(pool), clusters), np.full(len(pool), np.inf)
        self.cluster_of[rows], self.squares[rows] = number_of, squares
        self.sizes = np.append(np.bincount(number_of, self.unsure[rows], clusters), -1.0)
        self.chosen = np.append(np.zeros(clusters, np.int64), np.iinfo(np.int64).max)

    def choose(self, open_rows: Mask) -> tuple[int, float]:
        left = np.bincount(self.cluster_of[open_rows], minlength=len(self.sizes)) > 0
        number = _largest_of_fewest(self.sizes, self.chosen, left)
        members = open_rows & (self.cluster_of == number)
        if number == len(self.sizes) - 1:
            row = _best(self.unsure, members)
        else:
            row, self.chosen[number] = _best(-self.squares, members), self.chosen[number] + 1
        return row, float(self.unsure[row])


class ProbCover:
    """Image with the most neighbours that no label is near to first (Yehuda et al. 2022, ProbCover).

    Near means within a radius in which clusters, one a class, are seldom mixed.
    """

    def __init__(self, pool: Pool, budget: int, seed: int) -> None:
        self.pool = pool
        self.radius = cover_radius(pool, seed)
        self.uncovered = nearest_squares(pool.features, pool.labelled) > self.radius
        self.counts = np.zeros(len(pool), np.int64)
        open_features = pool.features[self.uncovered]
        for start in range(0, len(pool), BLOCK):
            part = slice(start, start + BLOCK)
            near = _squares(pool.features[part], open_features) <= self.radius
            self.counts[part] = near.sum(axis=1)

    def choose(self, open_rows: Mask) -> tuple[int, float]:
        row = _best(self.counts.astype(np.float64), open_rows)
        score = float(self.counts[row])
        covered = np.flatnonzero(self.uncovered & (self.pool.distances_to(self.pool.features[row]) <= self.radius))
        for start in range(0, len(covered), BLOCK):
            near = _squares(self.pool.features, self.pool.features[covered[start : start + BLOCK]]) <= self.radius
            self.counts -= near.sum(axis=1)
        self.uncovered[covered] = False
        return row, score


METHODS: dict[str, Callable[[Pool, int, int], Method]] = {
    "margin": Margin,
    "entropy": Entropy,
    "kcentre": KCentre,
    "badge": Badge,
    "typiclust": TypiClust,
    "typical_margin": TypicalMargin,
    "diverse_margin": DiverseMargin,
    "probcover": ProbCover,
    "random": RandomChoice,
}


def margins(probabilities: Floats) -> Floats:
    """Return the difference between the two highest of probabilities [M, C], [M]."""
    top = np.partition(np.asarray(probabilities, np.float64), -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0])


def cluster(points: Floats, clusters: int, seed: int) -> Integers:
    """Return the cluster of each point by k-means, int [N]."""
    return weighted_clusters(points, np.ones(len(points)), clusters, seed)[0]


def weighted_clusters(points: Floats, weights: Floats, clusters: int, seed: int) -> tuple[Integers, Floats]:
    """Return the cluster of each point by weighted k-means, int [N], and its squared distance to the centre, [N]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct points than clusters are fine
        means = _means(len(points), clusters, seed).fit(points, sample_weight=weights + 1e-9)
    squares = np.square(points - means.cluster_centers_[means.labels_]).sum(axis=1)
    return np.asarray(means.labels_, np.int64), squares


def _means(count: int, clusters: int, seed: int) -> Any:
    """Return the k-means of scikit-learn for so many points, on a part of them at a time if they are many."""
    from sklearn.cluster import KMeans, MiniBatchKMeans

    if count * clusters < EXACT:
        return KMeans(clusters, n_init=1, max_iter=ITERATIONS, random_state=seed % 2**32)
    return MiniBatchKMeans(clusters, n_init=1, max_iter=ITERATIONS, batch_size=4096, random_state=seed % 2**32)


def typicality(features: Floats) -> Floats:
    """Return the inverse of the mean distance of each image [n, d] to its nearest neighbours among the others, [n]."""
    count = len(features)
    if count < 2:
        return np.zeros(count)
    kept, found = min(NEIGHBOURS, count - 1), np.zeros(count)
    for start in range(0, count, BLOCK):
        squares = _squares(features[start : start + BLOCK], features)
        nearest = np.partition(squares, kept, axis=1)[:, : kept + 1]
        found[start : start + BLOCK] = np.sqrt(nearest).sum(axis=1) / kept  # its distance to itself is 0
    return 1 / (found + 1e-5)


def cover_radius(pool: Pool, seed: int) -> float:
    """Return the largest squared radius whose balls hold images of one cluster only, for `PURITY` of the images."""
    classes = max(2, pool.probabilities.shape[1])
    if len(pool) <= classes:
        return 0.0
    number_of = cluster(pool.features, classes, seed)
    rows = np.sort(np.random.default_rng(seed).permutation(len(pool))[:SAMPLE])
    squares = _squares(pool.features[rows], pool.features)
    # The ball of an image is pure up to the nearest image of another cluster.
    squares[number_of[rows][:, None] == number_of[None]] = np.inf
    return float(np.quantile(squares.min(axis=1), 1 - PURITY, method="lower"))


def nearest_squares(features: Floats, others: Floats) -> npt.NDArray[np.float32]:
    """Return the squared distance of each image to the nearest of the others, [M]; infinite if there are none."""
    found = np.full(len(features), np.inf, np.float32)
    for start in range(0, len(others), BLOCK):
        for first in range(0, len(features), BLOCK):
            part = slice(first, first + BLOCK)
            squares = _squares(features[part], others[start : start + BLOCK])
            found[part] = np.minimum(found[part], squares.min(axis=1))
    return found


def _squares(a: Floats, b: Floats) -> npt.NDArray[np.float32]:
    """Return the squared distances of all pairs, [n, m]."""
    found = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1)[None] - 2 * (a @ b.T)
    return np.asarray(np.maximum(found, 0))


def _largest_of_fewest(sizes: npt.NDArray[Any], chosen: Integers, left: Mask) -> int:
    """Return the largest cluster, among those with an open image, of the clusters with the fewest chosen images."""
    candidates = left & (chosen == chosen[left].min())
    return int(np.where(candidates, sizes, -np.inf).argmax())


def _best(scores: Floats, open_rows: Mask) -> int:
    """Return the open row of the highest score, the first among equals."""
    rows = np.flatnonzero(open_rows)
    return int(rows[scores[rows].argmax()])
