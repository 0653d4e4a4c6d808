"""Weights with which the logits of several probes are added: stacking on out-of-fold logits (Wolpert 1992).

Equal weights are the prior. Few images cannot tell good layers from lucky ones; and the mean of the logits of probes
that each were right for the strength of its penalty is underconfident, so that the sum of the weights is fitted too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transfercli.transfer.probe.label_logistic import binary_cross_entropy

PRIOR = 3.0  # in nats; 1 to 10 are as good on 5 to 100 images a class (benchmarks/RESULTS.md)
BLOCK = 2**18  # logits in float64 at a time


class OutOfFoldLogits:
    """Logits of L probes for the same n images, each by probes that never saw the image.

    logits: L times float32 [n, C]; targets: int [n]; weights: float64 [n], of the images in the loss.
    """

    def __init__(self, logits: Sequence[np.ndarray], targets: np.ndarray, weights: np.ndarray) -> None:
        self.logits, self.targets, self.weights = tuple(logits), targets, weights

    def part(self, chosen: np.ndarray) -> OutOfFoldLogits:
        """Return those of some images; chosen: bool [n]."""
        return type(self)([each[chosen] for each in self.logits], self.targets[chosen], self.weights[chosen])

    def scaled(self, factor: float) -> OutOfFoldLogits:
        """Return the same with the weights of all images times a factor."""
        return type(self)(self.logits, self.targets, self.weights * factor)

    def loss(self, shares: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the weighted sum of the log losses in nats of shares [L], and its gradient float64 [L]."""
        total, gradient = 0.0, np.zeros(len(shares))
        size = max(1, BLOCK // (self.logits[0].shape[1] * len(self.logits)))
        for start in range(0, len(self.targets), size):
            rows = slice(start, start + size)
            each = np.stack([logits[rows] for logits in self.logits]).astype(np.float64)
            summed = np.tensordot(shares, each, 1)
            loss, slopes = self.loss_and_slopes(summed, rows)
            total += loss
            gradient += np.einsum("lnc,nc->l", each, slopes)
        return total, gradient

    def loss_and_slopes(self, summed: np.ndarray, rows: slice) -> tuple[float, np.ndarray]:
        """Return the weighted sum of the losses of some images with logits [m, C], and its gradient by the logits."""
        targets, weights = self.targets[rows], self.weights[rows]
        own = summed[np.arange(len(targets)), targets]
        top = summed.max(axis=1, keepdims=True)
        probabilities = np.exp(summed - top)
        sums = probabilities.sum(axis=1)
        loss = float(weights @ (np.log(sums) + top[:, 0] - own))
        probabilities /= sums[:, None]
        probabilities[np.arange(len(targets)), targets] -= 1
        return loss, probabilities * weights[:, None]


class LabelLogits(OutOfFoldLogits):
    """Logits of several labels an image, as `OutOfFoldLogits`.

    logits: L times float32 [n, C] of C labels; targets: int [n, C] as in `Split`; weights: float64 [n, C], of each
    label of each image in the loss; 0 if it is unknown.
    """

    def loss_and_slopes(self, summed: np.ndarray, rows: slice) -> tuple[float, np.ndarray]:
        """Return the weighted sum of the losses of some images with logits [m, C], and its gradient by the logits."""
        truth, weights = self.targets[rows] == 1, self.weights[rows]
        losses, probabilities = binary_cross_entropy(summed, truth)
        return float(np.vdot(weights, losses)), (probabilities - truth) * weights


def equal(count: int) -> np.ndarray:
    """Return equal weights of so many probes, whose sum is 1."""
    return np.full(count, 1 / count)


def stacked(found: OutOfFoldLogits, *, common: bool = False) -> np.ndarray:
    """Return weights float64 [L], none negative, of least penalised log loss; common: the same for all probes."""
    from scipy.optimize import minimize

    count = len(found.logits)
    if common:
        together = type(found)([np.mean(found.logits, axis=0)], found.targets, found.weights)
        return np.repeat(stacked(together) / count, count)

    def objective(relative: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = found.loss(relative / count)
        mean = relative.mean()
        deviations = relative - mean
        penalty = (mean - 1) ** 2 + deviations @ deviations
        slope = 2 * (mean - 1) / count + 2 * deviations
        return loss + PRIOR / 2 * penalty, gradient / count + PRIOR / 2 * slope

    result = minimize(objective, np.ones(count), jac=True, bounds=[(0, None)] * count, method="L-BFGS-B")
    weights: np.ndarray = result.x / count
    return weights


def choose_weights(found: OutOfFoldLogits, fold_of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the probes [L], and for each fold those that its images did not choose, float64 [K, L].

    fold_of: int [n], from 0 to K - 1. Free weights, a common factor and the plain mean are compared by the loss of
    each fold with weights of the other folds; so the chosen one is never worse than equal weights there.
    """
    folds = int(fold_of.max()) + 1
    outside = [(found.part(fold_of != fold), found.part(fold_of == fold)) for fold in range(folds)]
    best, chosen = np.inf, (equal(len(found.logits)), np.tile(equal(len(found.logits)), (folds, 1)))
    for common in (None, True, False):
        if common is None:
            weights, by_fold = chosen
        else:
            weights = stacked(found, common=common)
            by_fold = np.stack([stacked(others, common=common) for others, _ in outside])
        loss = sum(held.loss(each)[0] for each, (_, held) in zip(by_fold, outside, strict=True))
        if loss < best:
            best, chosen = loss, (weights, by_fold)
    return chosen
