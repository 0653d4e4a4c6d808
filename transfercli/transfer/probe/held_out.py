"""Predictions of each image by a linear probe that was not trained on its fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfercli.data.label_sets import UNKNOWN
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.transfer.probe.label_logistic import LabelProblem
from transfercli.transfer.probe.logistic import Problem, fit
from transfercli.transfer.probe.probe import PATH_TOLERANCE, fold_problems, strength_path
from transfercli.transfer.probe.row_space import coordinates

LEAST = 1e-37  # a probability below this is taken as this, so that logarithms are finite
LEAST_BINARY = 2.0**-25  # the same for the presence or absence of a label, one of which is 1 minus the other


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
        classes = int(targets.max()) + 1
        self._whole = Problem(coordinates(features).rows, targets, np.ones((1, len(targets))), classes)
        self._fold_of = np.unique(fold_of, return_inverse=True)[1]
        self.strength, self._thetas = _of_least_loss(self._whole, self._fold_of, reporter)

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


class CrossValidatedLabelProbe:
    """Linear probe of several labels per image, as `CrossValidatedProbe`: one binary problem for each label.

    Attributes:
        strength: the inverse of the penalty, the same for all labels.
    """

    def __init__(self, features: Rows, targets: np.ndarray, fold_of: np.ndarray, reporter: Reporter) -> None:
        """Choose the strength. targets: int [N, L], as in `Split`; features, fold_of: as in `CrossValidatedProbe`."""
        known = (targets != UNKNOWN).astype(np.float32)
        weights = np.ones((1, len(targets)))
        self._whole = LabelProblem(coordinates(features).rows, targets, weights, targets.shape[1], known)
        self._fold_of = np.unique(fold_of, return_inverse=True)[1]
        self.strength, self._thetas = _of_least_loss(self._whole, self._fold_of, reporter)

    def log_probabilities(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Return log probabilities, float32 [N, L, 2], of the absence and the presence of each label.

        A label that the other folds cannot teach gets probability 1 for what the data says of it.

        Args:
            weights: float64 [N, L], the weight of each label in the loss; all 1 if None.
        """
        from threadpoolctl import threadpool_limits

        whole, targets = self._whole, self._whole.targets
        if weights is not None:
            whole = replace(whole, label_weights=(whole.label_weights * weights).astype(np.float32))
        found = np.empty(targets.shape, np.float32)
        with threadpool_limits(1, "blas"):
            for (problem, held_out), theta in zip(fold_problems(whole, self._fold_of), self._thetas, strict=True):
                fitted = theta if weights is None else fit(problem, theta, self.strength, PATH_TOLERANCE)
                for block in problem.blocks():
                    fold, image = np.nonzero(held_out[:, block])
                    probabilities = problem.predict(fitted, block)[1][:, fold, image]
                    given = targets[block][image].T
                    found[block][image] = np.where(problem.taught[:, fold], probabilities, given == 1).T
        pair = np.stack([1 - found, found], axis=-1)
        return np.log(np.maximum(pair, LEAST_BINARY))


def _of_least_loss(whole: Problem, fold_of: np.ndarray, reporter: Reporter) -> tuple[float, list[np.ndarray]]:
    """Return the strength of least held-out log loss, and the parameters of all folds at it."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # as in `solve`
        best, thetas = min(strength_path(whole, fold_of, reporter), key=lambda found: found[0].loss)
    return best.strength, thetas
