"""Folds of a cross-validation: each class is in all of them, and images of one group are in one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transfercli.data.clusters import cluster_indices

FOLDS = 5


def stratified_folds(targets: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each image, int [N]: shuffled within its class, the images go to the folds in turn."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(targets)), targets))
    fold_of = np.empty(len(targets), np.int64)
    fold_of[order] = np.arange(len(targets)) % folds
    return fold_of


class Folding:
    """Assignment of images to folds, of single images or of whole groups.

    unit_of: int [N], the group of each image; None if all images are independent
    """

    def __init__(self, seed: int, groups: Sequence[str]) -> None:
        self.seed = seed
        self.unit_of = cluster_indices(groups)

    def folds(self, targets: np.ndarray) -> tuple[np.ndarray | None, int]:
        """Return the fold of each image, int [N], and the number of folds; None if a class would be in one fold only.

        A class has an image, or a group, in each fold if it has enough of them.
        """
        if self.unit_of is None:
            folds = min(FOLDS, int(np.bincount(targets).min()))
            return (stratified_folds(targets, folds, self.seed) if folds > 1 else None), folds
        folds = min(FOLDS, int(np.bincount(np.unique(np.stack([targets, self.unit_of]), axis=1)[0]).min()))
        if folds < 2:
            return None, folds
        fold_of = group_folds(targets, self.unit_of, folds, self.seed)
        spread = np.bincount(np.unique(np.stack([targets, fold_of]), axis=1)[0]).min()
        return (fold_of if spread > 1 else None), folds


def group_folds(targets: np.ndarray, unit_of: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the fold of each image, int [N], the same for all images of a group.

    The groups, the largest first and equal ones in random order, each go to the fold that has the smallest share of
    their classes. So groups of one class are spread over as many folds as there are groups.
    """
    counts = np.zeros((int(unit_of.max()) + 1, int(targets.max()) + 1))
    np.add.at(counts, (unit_of, targets), 1.0)
    sizes = counts.sum(axis=1)
    shares = counts / counts.sum(axis=0)
    held = np.zeros((folds, counts.shape[1]))
    fold_of = np.empty(len(counts), np.int64)
    for unit in np.lexsort((np.random.default_rng(seed).random(len(counts)), -sizes)):
        # The increase of the sum of squared shares; of equal folds the one with fewest images.
        cost = (2 * held + shares[unit]) @ shares[unit]
        fold_of[unit] = np.lexsort((held.sum(axis=1), np.round(cost, 12)))[0]
        held[fold_of[unit]] += shares[unit]
    return fold_of[unit_of]


def folds_of(targets: np.ndarray, held_out: np.ndarray, unit_of: np.ndarray | None, seed: int) -> np.ndarray | None:
    """Return the fold of each image, int [N], -1 for one that trains in every fold; None if there is no other.

    Args:
        targets: int [N].
        held_out: bool [N], images that may be held out. A class with a single such image, or group, is not: the other
            folds would have to predict a class that they never saw.
        unit_of: int [N], the group of each image, whose images stay together; None if all are independent.
        seed: of the order.
    """
    units = np.arange(len(targets)) if unit_of is None else unit_of
    kept = ~held_out
    while True:
        kept = np.isin(units, units[kept | _alone(targets, units, ~kept)])
        left = np.flatnonzero(~kept)
        if not len(left):
            return None
        present = np.unique(targets[left], return_inverse=True)[1]
        if unit_of is None:
            found = stratified_folds(present, min(FOLDS, len(left)), seed)
        else:
            found = group_folds(present, np.unique(units[left], return_inverse=True)[1], FOLDS, seed)
        single = _alone(targets[left], found, np.ones(len(left), bool))
        if not single.any():  # else more images are kept, so the loop ends
            fold_of = np.full(len(targets), -1)
            fold_of[left] = np.unique(found, return_inverse=True)[1]
            return fold_of
        kept[left[single]] = True


def _alone(targets: np.ndarray, unit_of: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return True for images of classes that have a single unit among the images marked, bool [N]."""
    pairs = np.unique(np.stack([targets[among], unit_of[among]]), axis=1)[0]
    return among & (np.bincount(pairs, minlength=int(targets.max()) + 1) == 1)[targets]
