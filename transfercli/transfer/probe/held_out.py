"""Predictions of each image by a linear probe that was not trained on its fold."""

from __future__ import annotations

import numpy as np

from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.transfer.probe.logistic import Problem, fit
from transfercli.transfer.probe.probe import PATH_TOLERANCE, fold_problems, strength_path
from transfercli.transfer.probe.row_space import coordinates

LEAST = 1e-37  # a probability below this is taken as this, so that logarithms are finite


class CrossValidatedProbe:
    """Linear probe fitted to all folds but one, for each fold, at the strength of least held-out log loss.

    Attributes:
        strength: the inverse of the penalty, as in `Probe`.
    """

    def __init__(self, features: Rows, targets: np.ndarray, fold_of: np.ndarray, reporter: Reporter) -> None:
        """Choose the strength.

        features: N rows, float32 [D]; targets: int [N], each of 0 to C - 1 at least once; fold_of: int [N], two folds
        or more. The least loss decides, not the one-standard-error rule of `solve`: wrong labels raise the standard
        error, and the probabilities matter here.
        """
        from threadpoolctl import threadpool_limits

        classes = int(targets.max()) + 1
        self._whole = Problem(coordinates(features).rows, targets, np.ones((1, len(targets))), classes)
        self._fold_of = np.unique(fold_of, return_inverse=True)[1]
        best = np.inf
        with threadpool_limits(1, "blas"):  # as in `solve`
            for candidate, thetas in strength_path(self._whole, self._fold_of, reporter):
                if candidate.loss < best:
                    best, self._thetas, self.strength = candidate.loss, thetas, candidate.strength

    def log_probabilities(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return log probabilities, float32 [N, C], of each image by the other folds.

        An image whose class is missing in the other folds gets probability 1 for its label.

        Args:
            weights: float64 [N], the weight of each image in the loss; all 1 if None.
        """
        from threadpoolctl import threadpool_limits

        whole, found = self._whole, np.empty((len(self._fold_of), self._whole.classes), np.float32)
        if weights is not None:
            whole = Problem(whole.rows, whole.targets, (weights / weights.mean())[None], whole.classes)
        with threadpool_limits(1, "blas"):
            for (problem, held_out), theta in zip(fold_problems(whole, self._fold_of), self._thetas, strict=True):
                fitted = theta if weights is None else fit(problem, theta, self.strength, PATH_TOLERANCE)
                for block in problem.blocks():
                    fold, image = np.nonzero(held_out[:, block])
                    probabilities = problem.predict(fitted, block)[1]
                    found[block][image] = np.log(np.maximum(probabilities[:, fold, image].T, LEAST))
        unseen = self._unseen()
        found[unseen] = np.log(LEAST)
        found[unseen, whole.targets[unseen]] = 0.0
        return found

    def _unseen(self) -> np.ndarray:
        """Return True for each image whose class is missing in the other folds, bool [N]."""
        counts = np.zeros((self._whole.classes, self._fold_of.max() + 1), np.int64)
        np.add.at(counts, (self._whole.targets, self._fold_of), 1)
        others = counts.sum(axis=1, keepdims=True) - counts
        return others[self._whole.targets, self._fold_of] == 0
