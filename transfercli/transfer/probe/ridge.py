"""Ridge regression of one number on the features of a frozen base, with the penalty chosen by cross-validation.

The penalty is on the squared weights of centred features, not on the intercept (Hoerl & Kennard 1970). Each fold takes
one decomposition of a matrix with as many rows as there are images or features, whichever are fewer, and then serves
every strength.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

FOLDS = 5
STRENGTHS = tuple(10.0 ** (exponent / 2) for exponent in range(-16, 7))  # of the largest eigenvalue


@dataclass(frozen=True, slots=True, eq=False)
class Ridge:
    """Solved head.

    weights: float64 [d]; intercept: of the prediction `features @ weights + intercept`. strength: the penalty, as
    `alpha` of scikit-learn's Ridge. path: (strength, mean squared error of images held out) of all that were tried;
    empty if none could be held out.
    """

    weights: Array
    intercept: float
    strength: float
    path: tuple[tuple[float, float], ...] = ()

    def predicted(self, features: npt.NDArray[np.floating]) -> Array:
        """Return predictions float64 [N] of features [N, d]."""
        result: Array = features.astype(np.float64) @ self.weights + self.intercept
        return result


class _Decomposition:
    """Centred features and targets in the directions in which the features vary."""

    def __init__(self, features: Array, targets: Array) -> None:
        self.mean, self.target = features.mean(axis=0), float(targets.mean())
        x, y = features - self.mean, targets - self.target
        if len(x) < x.shape[1]:
            squares, left = np.linalg.eigh(x @ x.T)
            kept = squares > squares[-1] * 1e-12
            self.squares = squares[kept]
            self.directions = x.T @ left[:, kept] / np.sqrt(self.squares)
        else:
            squares, right = np.linalg.eigh(x.T @ x)
            kept = squares > squares[-1] * 1e-12
            self.squares, self.directions = squares[kept], right[:, kept]
        self.projected = self.directions.T @ (x.T @ y)

    def solved(self, strength: float) -> Ridge:
        """Return the head with a penalty."""
        weights = self.directions @ (self.projected / (self.squares + strength))
        return Ridge(weights, self.target - float(self.mean @ weights), strength)


def solve_ridge(
    features: npt.NDArray[np.floating], targets: npt.NDArray[np.floating], folds: npt.NDArray[np.integer]
) -> Ridge:
    """Return the head with the strength that predicts held-out images best; of equal ones, the largest.

    features: [N, d]; targets: [N]; folds: int [N], the fold that holds out each image, -1 for none.
    """
    x, y = features.astype(np.float64), targets.astype(np.float64)
    whole = _Decomposition(x, y)
    if not len(whole.squares):
        return Ridge(np.zeros(x.shape[1]), whole.target, 0.0)
    strengths = [float(whole.squares[-1] * factor) for factor in STRENGTHS]
    numbers = [fold for fold in np.unique(folds) if fold >= 0]
    if len(numbers) < 2:
        return whole.solved(strengths[len(strengths) // 2])
    errors = np.zeros(len(strengths))
    for fold in numbers:
        held_out = folds == fold
        learnt = _Decomposition(x[~held_out], y[~held_out])
        for row, strength in enumerate(strengths):
            errors[row] += np.square(learnt.solved(strength).predicted(x[held_out]) - y[held_out]).sum()
    errors /= (folds >= 0).sum()
    best = len(strengths) - 1 - int(np.argmin(errors[::-1]))
    solved = whole.solved(strengths[best])
    return Ridge(solved.weights, solved.intercept, solved.strength, tuple(zip(strengths, errors.tolist(), strict=True)))


def folds_of(groups: tuple[str, ...], number: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the fold of each of `number` images, int64 [N], drawn by the seed; a group stays in one fold.

    groups: name of each image's group, "" for none; () if no image has one.
    """
    names = [group or f"\0{index}" for index, group in enumerate(groups or ("",) * number)]
    units = {name: place for place, name in enumerate(dict.fromkeys(names))}
    drawn = np.random.default_rng(seed).permutation(len(units)) % min(FOLDS, len(units))
    return np.array([drawn[units[name]] for name in names], np.int64)


def facts_of(head: Ridge) -> dict[str, Any]:
    """Return the facts on a solved head for a line of `metrics.jsonl`."""
    return {"strength": head.strength, "strengths": [list(tried) for tried in head.path]}
