"""Multinomial logistic regression, for several problems on the same rows at once: the folds of a cross-validation.

Passes over the rows are the main cost, so one pass serves all problems: a fold is a vector of row weights, zero for
held-out images. A pass goes through blocks of rows, so that no array of images x classes is ever in memory, and uses
several cores. Products are computed in float32, sums over rows and everything of the size of the parameters in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from transfercli.io.cores import usable_cores

HISTORY = 20  # most steps in the memory of L-BFGS
HISTORY_BYTES = 2**28  # most memory for them
ITERATIONS = 1000  # reached only by very badly scaled problems
SUFFICIENT = 1e-4  # fraction of the decrease predicted by the slope that a step must achieve (Armijo 1966)
NOISE = 1e-6  # relative error of a loss, whose logits are computed in float32
HALVINGS = 30
TINY = 1e-300
RARE = 1e-6  # least frequency of a class in the start of a fit; a fold may lack a class
ROUNDING = 1e-6  # of float32, relative to the trace
ABSENT = float(np.log(RARE))  # the bias of a class without images
BLOCK = 4096  # most rows of a block
BLOCK_LOGITS = 2**19  # most logits of a block
PARTS = 4  # of a pass, computed at the same time; a constant, so that sums do not depend on the number of cores
HESSIAN_BLOCK = 512  # rows copied at a time
DENSE = 4096  # most coordinates P for which a P x P matrix is factorised

Metric = Callable[[np.ndarray], np.ndarray]  # from gradients [C, K, P] to steps of the same shape


@dataclass(frozen=True)
class Problem:
    """`K` weighted fits of `C` classes on `N` shared rows of `P` coordinates.

    rows: float32 [N, P], the last column ones, for the bias; targets: int [N]; weights: float64 [K, N].
    """

    BY_ROW: ClassVar[tuple[str, ...]] = ("rows", "targets")

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    classes: int

    def start(self) -> np.ndarray:
        """Return zero weights, and the log class frequencies, of at least `RARE`, as biases; float64 [C, K, P]."""
        totals = np.stack([np.bincount(self.targets, each, self.classes) for each in self.weights], axis=1)
        theta = np.zeros((*totals.shape, self.rows.shape[1]))
        theta[..., -1] = np.log(np.maximum(totals / totals.sum(0), RARE))
        return theta

    def part(self, rows: np.ndarray) -> Problem:
        """Return the problem of some rows, int [n], with weights of mean 1."""
        weights = self.weights[:, rows]
        by_row = {name: getattr(self, name)[rows] for name in self.BY_ROW}
        return replace(self, **by_row, weights=weights / weights.mean())

    def blocks(self) -> list[slice]:
        """Return the blocks of rows of a pass."""
        size = int(np.clip(BLOCK_LOGITS // (self.classes * len(self.weights)), 1, BLOCK))
        return [slice(start, start + size) for start in range(0, len(self.rows), size)]

    def predict(self, theta: np.ndarray, block: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the losses in nats, float64 [K, n], and the probabilities, float32 [C, K, n], of a block of rows."""
        flat = theta.reshape(-1, theta.shape[-1]).astype(np.float32, copy=False)
        logits = (flat @ self.rows[block].T).reshape(*theta.shape[:2], -1)
        return cross_entropy(logits, self.targets[block])

    def answers(self, theta: np.ndarray, number: int, rows: np.ndarray) -> np.ndarray:
        """Return the logits, float32 [n, C], of rows by one of the problems; NaN for a label that it was not taught."""
        found: np.ndarray = self.rows[rows] @ theta[:, number].astype(np.float32).T
        return found

    def centred(self, values: np.ndarray, axis: int) -> np.ndarray:
        """Return logits or parameters with a sum of 0 over the classes, which changes no probability."""
        return values - values.mean(axis=axis, keepdims=True)

    def score(self, theta: np.ndarray, held_out: np.ndarray, scores: np.ndarray) -> None:
        """Score the images that each problem holds out, bool [K, N], in their columns of `scores`, float64 [3, N].

        They are set to the loss in nats, the share of right answers, and the weight that the image has by its targets.
        """
        for block in self.blocks():
            losses, probabilities = self.predict(theta, block)
            fold, image = np.nonzero(held_out[:, block])
            hits = probabilities[:, fold, image].argmax(0) == self.targets[block][image]
            scores[:, block][:, image] = losses[fold, image], hits, np.ones(len(image))

    def loss_and_gradient(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted sum of the losses, float64 [K], and its gradient, float64 [C, K, P]."""
        flat, weights = theta.astype(np.float32), self.weights.astype(np.float32)

        def part(blocks: list[slice]) -> tuple[np.ndarray, np.ndarray]:
            loss, gradient = np.zeros(theta.shape[1]), np.zeros((theta.shape[0] * theta.shape[1], theta.shape[2]))
            for block in blocks:
                losses, residuals = self.predict(flat, block)
                loss += (losses * self.weights[:, block]).sum(1)
                targets = self.targets[block]
                residuals[targets, :, np.arange(len(targets))] -= 1
                residuals *= weights[:, block]
                gradient += residuals.reshape(len(gradient), -1) @ self.rows[block]
            return loss, gradient

        losses, gradients = zip(*at_once(part, self.parts()), strict=True)
        return sum(losses), sum(gradients).reshape(theta.shape)

    def dots(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return each problem's inner product of parameters [C, K, P], float64 [K]."""
        return np.einsum("ckp,ckp->k", a, b)

    def curvatures(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted second derivatives of the losses by a logit, the mean over the classes.

        They are summed over the rows for each problem, float64 [K], and averaged over the problems for each row, [N].
        """
        weighted = self._mean_variances(theta) * self.weights
        return weighted.sum(1), weighted.mean(0)

    def dense_inverse(self, hessian: np.ndarray, curvatures: np.ndarray, penalty: np.ndarray) -> Metric:
        """Return an initial inverse Hessian of a matrix that stands for those of all classes and problems.

        hessian: float32 [P, P], the mean over the problems, without penalty; it is overwritten. curvatures: of each
        problem, as `curvatures` returns them. penalty: float64 [P].
        """
        from scipy.linalg import cho_factor, cho_solve

        hessian[np.diag_indices_from(hessian)] += penalty + ROUNDING * np.trace(hessian)
        factor = cho_factor(hessian, overwrite_a=True, check_finite=False)

        def apply(gradient: np.ndarray) -> np.ndarray:
            flat = gradient.reshape(-1, gradient.shape[-1]).T.astype(np.float32)
            return cho_solve(factor, flat, check_finite=False).T.reshape(gradient.shape).astype(np.float64)

        return apply

    def _mean_variances(self, theta: np.ndarray) -> np.ndarray:
        """Return the mean over the classes of p (1 - p) in each problem and row, float64 [K, N]."""
        flat = theta.astype(np.float32)

        def part(blocks: list[slice]) -> list[np.ndarray]:
            probabilities = (self.predict(flat, block)[1] for block in blocks)
            return [(1 - np.einsum("ckn,ckn->kn", p, p, dtype=np.float64)) / self.classes for p in probabilities]

        found = [each for part_of in at_once(part, self.parts()) for each in part_of]
        return np.maximum(np.concatenate(found, axis=1), 0)

    def parts(self) -> list[list[slice]]:
        """Return the blocks in the parts of a pass."""
        blocks = self.blocks()
        bounds = np.linspace(0, len(blocks), PARTS + 1).astype(int)
        return [blocks[start:stop] for start, stop in pairwise(bounds) if stop > start]


def at_once(function: Callable[[Any], Any], parts: Sequence[Any]) -> Iterator[Any]:
    """Yield the result of a function for each part, in their order, computed on as many cores as there are."""
    if len(parts) == 1 or usable_cores() == 1:
        yield from map(function, parts)
        return
    with ThreadPoolExecutor(min(len(parts), usable_cores())) as pool:
        yield from pool.map(function, parts)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses in nats, float64 [K, n], and the probabilities, [C, K, n], of logits [C, K, n].

    targets: int [n]. The probabilities replace the logits.
    """
    top = logits.max(0)
    below_top = (top - logits[targets, :, np.arange(len(targets))].T).astype(np.float64)
    logits -= top
    probabilities = np.exp(logits, out=logits)
    sums = probabilities.sum(0, dtype=np.float64)
    probabilities /= sums.astype(probabilities.dtype)
    return below_top + np.log(sums), probabilities


def fit(problem: Problem, theta: np.ndarray, strength: float, tolerance: float, *, dense: bool = False) -> np.ndarray:
    """Return the parameters float64 [C, K, P] that minimise each problem's loss, starting from `theta`.

    The loss is the weighted sum of cross-entropies + |theta without the bias|^2 / (2 strength); `strength` is
    scikit-learn's `C`. A problem is done when the predicted decrease of its next step, relative to its loss, is below
    `tolerance`; it then stays constant. Each is minimised by L-BFGS (Liu & Nocedal 1989); the loss is convex, so every
    step that lowers it gives a valid update of the memory.
    dense: the initial inverse Hessian is that of a full matrix, not of the mean curvature: far fewer steps, each at
    twice the cost, which is faster if the tolerance is small.
    """
    descent = _Descent(problem, theta, strength, dense and problem.rows.shape[1] <= DENSE)
    for _ in range(ITERATIONS):
        step = descent.direction()
        slope = problem.dots(descent.gradient, step)
        descent.done |= -slope <= 2 * tolerance * descent.loss
        if descent.done.all():
            break
        descent.advance(step, slope)
    return descent.theta


class _Descent:
    """State of the minimisation; memory: (step, change of the gradient, 1 / their inner product) of recent steps."""

    def __init__(self, problem: Problem, theta: np.ndarray, strength: float, dense: bool) -> None:
        self.problem, self.theta = problem, theta
        self.penalty = np.append(np.full(theta.shape[-1] - 1, 1 / strength), 0.0)
        by_problem, by_row = problem.curvatures(theta)
        if dense:
            self.inverse = problem.dense_inverse(self._mean_hessian(by_row), by_problem, self.penalty)
        else:
            self.inverse = self._diagonal_inverse(by_problem)
        self.loss, self.gradient = self._evaluate(theta)
        self.done = np.zeros(self.loss.shape, bool)
        self.memory: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.history = int(np.clip(HISTORY_BYTES // (2 * theta.nbytes), 3, HISTORY))
        self.gain = np.ones(self.loss.shape)

    def _diagonal_inverse(self, curvatures: np.ndarray) -> Metric:
        """Return an initial inverse Hessian: one value for all weights of a problem, one for the bias."""
        spread = np.ones(len(self.penalty))
        spread[:-1] /= max(len(spread) - 1, 1)  # rows have a mean square norm of 1, shared by their coordinates
        inverse = 1 / ((curvatures + TINY)[..., None] * spread + self.penalty)
        return lambda gradient: gradient * inverse

    def _mean_hessian(self, curvatures: np.ndarray) -> np.ndarray:
        """Return the sum of the outer products of the rows [N, P], each times its curvature: float32 [P, P]."""
        rows, width = self.problem.rows, len(self.penalty)
        row_scales = np.sqrt(curvatures).astype(np.float32)

        def columns(panel: np.ndarray) -> np.ndarray:
            products = np.zeros((width, len(panel)), np.float32)
            for start in range(0, len(rows), HESSIAN_BLOCK):
                block = slice(start, start + HESSIAN_BLOCK)
                scaled = rows[block] * row_scales[block, None]
                products += scaled.T @ scaled[:, panel[0] : panel[-1] + 1]
            return products

        panels = [panel for panel in np.array_split(np.arange(width), PARTS) if len(panel)]
        return np.concatenate(list(at_once(columns, panels)), axis=1)

    def _evaluate(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return each problem's loss with its penalty, [K], and the gradient [C, K, P]."""
        loss, gradient = self.problem.loss_and_gradient(theta)
        penalised = self.penalty * theta
        return loss + 0.5 * self.problem.dots(penalised, theta), gradient + penalised

    def direction(self) -> np.ndarray:
        """Return minus the approximate inverse Hessian times the gradient, by the two-loop recursion (Nocedal 1980)."""
        q = self.gradient.copy()
        alphas = []
        for step, change, rho in reversed(self.memory):
            alphas.append(rho * self.problem.dots(step, q))
            q -= alphas[-1][..., None] * change
        q = self.inverse(q) * self.gain[..., None]
        for (step, change, rho), alpha in zip(self.memory, reversed(alphas), strict=True):
            q += (alpha - rho * self.problem.dots(change, q))[..., None] * step
        return -q

    def advance(self, step: np.ndarray, slope: np.ndarray) -> None:
        """Take the step, halved until the loss falls enough, and update the memory.

        If the loss changes by less than its rounding error, the slope at the end of the step decides (the approximate
        Wolfe condition of Hager & Zhang 2005, "A new conjugate gradient method with guaranteed descent").
        """
        length = np.where(self.done, 0.0, 1.0)
        for _ in range(HALVINGS):
            theta = self.theta + length[..., None] * step
            loss, gradient = self._evaluate(theta)
            lower = loss <= self.loss + SUFFICIENT * length * slope
            level = loss <= self.loss + NOISE * np.abs(self.loss)
            level &= self.problem.dots(gradient, step) <= (2 * SUFFICIENT - 1) * slope
            if (lower | level).all():
                break
            length = np.where(lower | level, length, length / 2)
        self._remember(theta - self.theta, gradient - self.gradient)
        self.theta, self.loss, self.gradient = theta, loss, gradient

    def _remember(self, step: np.ndarray, change: np.ndarray) -> None:
        """Add a step and its change of the gradient to the memory; problems without positive curvature are done."""
        product = self.problem.dots(step, change)
        curved = product > TINY  # False if a problem is done, or moves only within the rounding of float32
        self.done |= ~curved
        safe = np.where(curved, product, 1.0)
        self.gain = np.where(curved, safe / (self.problem.dots(change, self.inverse(change)) + TINY), self.gain)
        self.memory = [*self.memory[1 - self.history :], (step, change, curved / safe)]
