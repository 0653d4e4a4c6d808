"""Logistic regression of several labels an image: one binary problem for each label and fold, on the same rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from transfercli.transfer.probe.logistic import RARE, ROUNDING, TINY, Metric, Problem, at_once


@dataclass(frozen=True)
class LabelProblem(Problem):
    """`L` x `K` binary fits, of each label in each fold; as `Problem`, whose classes are the labels.

    Parameters are float64 [L, K, P], losses [L, K]. One pass over the rows serves all of them.

    targets: int [N, L]: 1, 0, or negative if unknown; label_weights: float32 [N, L], of each image in the loss of each
    label, besides `weights` [K, N]; 0 if its label is unknown.

    A label whose images of non-zero weight all have it, or none of them, keeps its start.
    """

    BY_ROW: ClassVar[tuple[str, ...]] = ("rows", "targets", "label_weights")

    label_weights: np.ndarray

    def start(self) -> np.ndarray:
        """Return zero weights, and the log odds of each label as biases; float64 [L, K, P]."""
        positives, negatives = self._totals(1), self._totals(0)
        shares = np.clip(positives / np.maximum(positives + negatives, TINY), RARE, 1 - RARE)
        theta = np.zeros((*shares.shape, self.rows.shape[1]))
        theta[..., -1] = np.log(shares / (1 - shares))
        return theta

    @cached_property
    def taught(self) -> np.ndarray:
        """Return True for each label and fold with images that have the label and others that have it not, [L, K]."""
        taught: np.ndarray = (self._totals(1) > 0) & (self._totals(0) > 0)
        return taught

    def predict(self, theta: np.ndarray, block: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses in nats and the probabilities, float32 [L, K, n] both, of a block of rows."""
        flat = theta.reshape(-1, theta.shape[-1]).astype(np.float32, copy=False)
        logits = (flat @ self.rows[block].T).reshape(*theta.shape[:2], -1)
        return binary_cross_entropy(logits, self._truth(block)[:, None])

    def answers(self, theta: np.ndarray, number: int, rows: np.ndarray) -> np.ndarray:
        """Return the logits, float32 [n, L], of rows by one fold's problems; NaN for a label that it was not taught."""
        found = super().answers(theta, number, rows)
        found[:, ~self.taught[:, number]] = np.nan
        return found

    def centred(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Return the values as they are: labels are independent of each other."""
        return values

    def score(self, theta: np.ndarray, held_out: np.ndarray, scores: np.ndarray) -> None:
        """Score the images that each fold holds out, as `Problem.score`, by the labels that it was taught.

        The loss and the right answers of an image are means over these labels, and its weight is theirs together.
        """
        for block in self.blocks():
            losses, probabilities = self.predict(theta, block)
            fold, image = np.nonzero(held_out[:, block])
            weights = self.label_weights[block][image] * self.taught[:, fold].T
            right = (probabilities[:, fold, image].T > 0.5) == self._truth(block)[:, image].T
            totals = weights.sum(1, dtype=np.float64)
            found = np.stack([losses[:, fold, image].T, right]) * weights
            scores[:2, block][:, image] = found.sum(2, dtype=np.float64) / np.maximum(totals, TINY)
            scores[2, block][image] = totals

    def loss_and_gradient(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted sums of the losses, float64 [L, K], and their gradients, float64 [L, K, P]."""
        flat, taught = theta.astype(np.float32), self.taught

        def part(blocks: list[slice]) -> tuple[np.ndarray, np.ndarray]:
            loss, gradient = np.zeros(theta.shape[:2]), np.zeros((theta.shape[0] * theta.shape[1], theta.shape[2]))
            for block in blocks:
                losses, residuals = self.predict(flat, block)
                weights = self._block_weights(block)
                losses *= weights
                loss += losses.sum(2, dtype=np.float64)
                residuals -= self._truth(block)[:, None]
                residuals *= weights
                gradient += residuals.reshape(len(gradient), -1) @ self.rows[block]
            return loss, gradient

        losses, gradients = zip(*at_once(part, self.parts()), strict=True)
        return sum(losses) * taught, sum(gradients).reshape(theta.shape) * taught[..., None]

    def dots(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the inner product of the parameters [L, K, P] of each label and fold, float64 [L, K]."""
        return np.einsum("lkp,lkp->lk", a, b)

    def curvatures(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted p (1 - p), summed over the rows, float64 [L, K], and averaged over the problems, [N]."""
        flat = theta.astype(np.float32)

        def part(blocks: list[slice]) -> tuple[np.ndarray, list[np.ndarray]]:
            sums, means = np.zeros(theta.shape[:2]), []
            for block in blocks:
                p = self.predict(flat, block)[1]
                weighted = p * (1 - p) * self._block_weights(block)
                sums += weighted.sum(2, dtype=np.float64)
                means.append(weighted.mean((0, 1), dtype=np.float64))
            return sums, means

        sums, means = zip(*at_once(part, self.parts()), strict=True)
        return sum(sums), np.concatenate([block for each in means for block in each])

    def dense_inverse(self, hessian: np.ndarray, curvatures: np.ndarray, penalty: np.ndarray) -> Metric:
        """Return an initial inverse Hessian, as `Problem.dense_inverse`, for labels of any frequency.

        The Hessian of a label is taken for a multiple of the mean, by its curvature, plus its penalty. The eigenvectors
        of the mean, with the bias eliminated, are those of all of them: one factorisation serves every label.
        """
        values, vectors, shift, corner = _without_bias(hessian)
        scales = (curvatures + TINY) / np.mean(curvatures + TINY)
        inverse = 1 / (scales[..., None] * values + penalty[:-1])

        def apply(gradient: np.ndarray) -> np.ndarray:
            reduced = (gradient[..., :-1] - gradient[..., -1:] * shift).astype(np.float32)
            found = np.empty_like(gradient)
            found[..., :-1] = ((reduced @ vectors) * inverse).astype(np.float32) @ vectors.T
            found[..., -1] = gradient[..., -1] / (scales * corner) - found[..., :-1] @ shift
            return found

        return apply

    def _truth(self, block: slice) -> np.ndarray:
        """Return True for the labels that the images of a block have, [L, n]."""
        return self.targets[block].T == 1

    def _block_weights(self, block: slice) -> np.ndarray:
        """Return the weights of a block of rows, float32 [L, K, n]."""
        return self.label_weights[block].T[:, None] * self.weights[:, block].astype(np.float32)

    def _totals(self, answer: int) -> np.ndarray:
        """Return the sum of the weights of the images with this answer to each label, 1 or 0, float64 [L, K]."""
        return (self.label_weights * (self.targets == answer)).T.astype(np.float64) @ self.weights.T


def binary_cross_entropy(logits: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses in nats and the probabilities of logits, both in their shape and dtype.

    truth: bool, broadcasts to the logits. The losses of an unknown label are those of its absence.
    """
    small = np.exp(-np.abs(logits))
    losses = np.log1p(small)
    losses += np.maximum(np.where(truth, -logits, logits), 0)
    probabilities = np.where(logits >= 0, 1, small) / (1 + small)
    return losses, probabilities


def _without_bias(hessian: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return the eigenvalues and vectors of a matrix [P, P] whose last row and column are eliminated, and these.

    shift: float64 [P - 1], the last column by the corner; corner: the last entry.
    """
    corner = max(float(hessian[-1, -1]), TINY)
    shift = hessian[:-1, -1].astype(np.float64) / corner
    block = hessian[:-1, :-1] - corner * np.outer(shift, shift).astype(np.float32)
    values, vectors = np.linalg.eigh(block)
    least = ROUNDING * max(float(values.sum()), TINY)
    return np.maximum(values.astype(np.float64), least), vectors, shift, corner
