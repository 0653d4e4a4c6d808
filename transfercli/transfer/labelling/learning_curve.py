"""Learning curve of a linear head: its error on held-out images for growing numbers of labelled images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.reporting import Reporter
from transfercli.transfer.probe.folding import stratified_folds
from transfercli.transfer.probe.subsets import solve_subsets

FOLDS = 5
SIZES = 6  # most sizes of subsets
SMALLEST = 0.15  # size of the smallest subset, as a share of the largest
SOLVED = 60  # heads that are solved, about
REPEATS = 8  # most times that all folds are drawn
MOST_IMAGES = 1500  # labelled images that are used; more hardly narrow a forecast

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Error of a head at J sizes of its training set.

    Attributes:
        images: number of all labelled images.
        classes: number of classes.
        tested: number of images that were held out at least once.
        unevenness: as the function of that name returns it; the error of a class varies with the inverse of its number.
        sizes: float64 [J], mean number of training images, ascending.
        errors: float64 [J], the share of held-out images that a head of that size gets wrong.
        covariance: float64 [J, J], of the sampling errors of `errors`, which are common to a large part: the images
            held out are the same at all sizes.
    """

    images: int
    classes: int
    tested: int
    unevenness: float
    sizes: Floats
    errors: Floats
    covariance: Floats


def sampled(count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the labelled images that a curve is measured on, sorted: all, or a random sample of `MOST_IMAGES`."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:MOST_IMAGES])


def learning_curve(
    features: npt.NDArray[np.float32],
    targets: npt.NDArray[np.integer],
    images: int,
    strength: float,
    seed: int,
    reporter: Reporter,
) -> LearningCurve | None:
    """Return the learning curve of labelled images; None if no class has two of them, or only one class has images.

    Args:
        features: float32 [N, D], normalised.
        targets: int [N], from 0 to C - 1.
        images: number of all labelled images, of which these N may be a sample.
        strength: of the heads, as `probe.solve` chooses it.
    """
    per_class = np.bincount(targets)
    if (per_class > 0).sum() < 2 or per_class.max() < 2:
        return None
    subsets, held_out = _subsets(targets, np.random.default_rng(seed))
    wrong, seen = np.zeros((len(subsets), len(targets))), np.zeros((len(subsets), len(targets)))
    flat = subsets.reshape(-1, len(targets)).astype(np.float64)
    for number, probabilities in solve_subsets(features, targets, flat, features, strength, reporter):
        size, repeat = divmod(number, subsets.shape[1])
        rows = np.flatnonzero(held_out[repeat])
        guesses = probabilities[rows].argmax(axis=1)
        wrong[size, rows] += guesses != targets[rows]
        seen[size, rows] += 1
    tested = np.flatnonzero(seen[0])
    rates = wrong[:, tested] / seen[:, tested]
    sizes = subsets.sum(axis=2).mean(axis=1).astype(np.float64)
    errors = rates.mean(axis=1)
    centred = rates - errors[:, None]
    covariance = centred @ centred.T / max(len(tested) - 1, 1) / len(tested)
    return LearningCurve(
        images, int((per_class > 0).sum()), len(tested), unevenness(per_class), sizes, errors, covariance
    )


def unevenness(per_class: npt.NDArray[np.integer]) -> float:
    """Return how uneven the classes are, from their images, int [C]: 1 if all have equally many."""
    present = per_class[per_class > 0]
    return float((present.mean() / present).mean())


def _subsets(
    targets: npt.NDArray[np.integer], rng: np.random.Generator
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return nested training sets, bool [J, K, N], and the images held out of them, bool [K, N].

    Classes are in a training set by their share, but each has at least one image, if possible. An image that is alone
    in its class is held out too, and always wrong: other such classes have no label at all (Good 1953).
    """
    count = len(targets)
    per_class = np.bincount(targets)
    folds = int(min(FOLDS, per_class[per_class > 1].max()))
    largest = count * (folds - 1) / folds
    least = min(largest, max((per_class > 0).sum(), SMALLEST * largest))
    sizes = np.unique(np.geomspace(least, largest, SIZES).round().astype(int))
    repeats = int(np.clip(SOLVED // (folds * len(sizes)), 1, REPEATS))
    subsets = np.zeros((len(sizes), repeats * folds, count), bool)
    held_out = np.zeros((repeats * folds, count), bool)
    for number in range(repeats * folds):
        fold = number % folds
        if fold == 0:
            fold_of = stratified_folds(targets, folds, int(rng.integers(2**32)))
        held_out[number] = fold_of == fold
        order = _by_share(targets, np.flatnonzero(~held_out[number]), rng)
        for place, size in enumerate(sizes):
            subsets[place, number, order[: min(size, len(order))]] = True
    return subsets, held_out


def _by_share(
    targets: npt.NDArray[np.integer], rows: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return rows in an order in which each beginning has the classes by their share, and first one image of each."""
    rows = rows[rng.permutation(len(rows))]
    own = targets[rows]
    sizes = np.bincount(own)
    rank = np.zeros(len(rows))
    for label in np.flatnonzero(sizes):
        members = np.flatnonzero(own == label)
        rank[members[1:]] = (np.arange(1, len(members)) + rng.random()) / len(members)
    return rows[np.lexsort((rng.random(len(rows)), rank))]
