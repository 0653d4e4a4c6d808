"""Choice of the images to label: a method, classes balanced by guess, and one image of each set of copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from transfercli.reporting import Reporter
from transfercli.transfer.labelling.methods import METHODS
from transfercli.transfer.labelling.pool import Pool, narrowed

Integers = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Choice:
    """Chosen images, the most useful first. rows: int [B], of the pool; scores: float64 [B], of the method."""

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


def select(
    pool: Pool,
    budget: int,
    method: str,
    copies: Integers,
    seed: int,
    reporter: Reporter,
) -> Choice:
    """Return at most `budget` images, at most one of each set of copies.

    While images of a class are needed to make the classes equal and are there, by the guesses, they are chosen from
    that class; then from all.

    Args:
        method: a name in `METHODS`.
        copies: int [M], a number for each set of copies.
    """
    narrow = Pool(*_narrowed(pool), pool.label_counts)
    budget = min(budget, len(np.unique(copies)))
    chooser = METHODS[method](narrow, budget, seed)
    left = quotas(pool.label_counts, np.bincount(pool.guesses, minlength=len(pool.label_counts)), budget)
    open_rows = np.ones(len(pool), bool)
    rows, scores = np.empty(budget, np.int64), np.empty(budget)
    for rank in range(budget):
        wanted = open_rows & (left[pool.guesses] > 0)
        row, score = chooser.choose(wanted if wanted.any() else open_rows)
        open_rows[copies == copies[row]] = False
        left[pool.guesses[row]] -= 1
        rows[rank], scores[rank] = row, score
        reporter.progress("choose", rank + 1, budget)
    return Choice(rows, scores)


def quotas(labelled: Integers, available: Integers, budget: int) -> npt.NDArray[np.int64]:
    """Return the number of images to choose from each class, int [C], so that the classes become as equal as possible.

    labelled, available: int [C], images with a label, and images guessed as the class.
    """
    found = np.zeros(len(labelled), np.int64)
    for _ in range(min(budget, int(available.sum()))):
        totals = np.where(found < available, labelled + found, np.iinfo(np.int64).max)
        found[totals.argmin()] += 1
    return found


def _narrowed(pool: Pool) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.floating], npt.NDArray[np.float32]]:
    features, labelled = narrowed(pool.features, pool.labelled)
    return features, pool.probabilities, labelled
