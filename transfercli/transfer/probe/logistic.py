"""Multinomial logistic regression, for several problems on the same rows at once: the folds of a cross-validation.

Passes over the rows are the main cost, so one pass serves all problems: a fold is a vector of row weights, zero for
held-out images. Everything else is small and computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HISTORY = 20  # steps in the memory of L-BFGS
ITERATIONS = 1000  # reached only by very badly scaled problems
SUFFICIENT = 1e-4  # fraction of the decrease predicted by the slope that a step must achieve (Armijo 1966)
HALVINGS = 30
TINY = 1e-300
ROUNDING = 1e-6  # of float32, relative to the trace
BLOCK = 4096  # rows copied at a time
DENSE = 4096  # most coordinates P for which a P x P matrix is factorised

Metric = Callable[[np.ndarray], np.ndarray]  # from gradients [C, K, P] to steps of the same shape


@dataclass(frozen=True)
class Problem:
    """`K` weighted fits of `C` classes on `N` shared rows of `P` coordinates.

    rows: float32 [N, P], the last column ones, for the bias; targets: int [N]; weights: float64 [K, N].
    """

    rows: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    classes: int

    def start(self) -> np.ndarray:
        """Return zero weights, and the log class frequencies as biases; float64 [C, K, P]."""
        totals = np.stack([self.weights[:, self.targets == index].sum(1) for index in range(self.classes)])
        theta = np.zeros((*totals.shape, self.rows.shape[1]))
        theta[..., -1] = np.log(totals / totals.sum(0))
        return theta

    def logits(self, theta: np.ndarray) -> np.ndarray:
        """Return the logits, float64 [C, K, N], of parameters [C, K, P]."""
        flat = theta.reshape(-1, theta.shape[-1]).astype(np.float32)
        return (flat @ self.rows.T).reshape(*theta.shape[:2], -1).astype(np.float64)

    def gradients(self, residuals: np.ndarray) -> np.ndarray:
        """Return the gradients by the parameters, float64 [C, K, P], from those by the logits, [C, K, N]."""
        flat = residuals.reshape(-1, residuals.shape[-1]).astype(np.float32)
        return (flat @ self.rows).reshape(*residuals.shape[:2], -1).astype(np.float64)

    def of_targets(self, values: np.ndarray) -> np.ndarray:
        """Return the value of each row's class: [N, K] of values [C, K, N]."""
        return values[self.targets, :, np.arange(len(self.targets))]


def cross_entropy(problem: Problem, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses in nats, [K, N], and the probabilities, [C, K, N], of logits [C, K, N]."""
    top = logits.max(0)
    probabilities = np.exp(logits - top)
    sums = probabilities.sum(0)
    probabilities /= sums
    return top + np.log(sums) - problem.of_targets(logits).T, probabilities


def fit(problem: Problem, theta: np.ndarray, strength: float, tolerance: float, *, dense: bool = False) -> np.ndarray:
    """Return the parameters float64 [C, K, P] that minimise each problem's loss, starting from `theta`.

    The loss is the weighted sum of cross-entropies + |theta without the bias|^2 / (2 strength); `strength` is
    scikit-learn's `C`. A problem is done when the predicted decrease of its next step, relative to its loss, is below
    `tolerance`; it then stays constant. Each is minimised by L-BFGS (Liu & Nocedal 1989): logits are linear in the
    step, so the line search needs no pass over the rows; the loss is convex, so every step that lowers it gives a
    valid update of the memory.
    dense: the initial inverse Hessian is that of a full matrix, not of the mean curvature: far fewer steps, each at
    twice the cost, which is faster if the tolerance is small.
    """
    descent = _Descent(problem, theta, strength, dense and problem.rows.shape[1] <= DENSE)
    for _ in range(ITERATIONS):
        step = descent.direction()
        slope = _dots(descent.gradient, step)
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
        self.logits = problem.logits(theta)
        losses, probabilities = cross_entropy(problem, self.logits)
        self.inverse = (self._dense_inverse if dense else self._diagonal_inverse)(probabilities * (1 - probabilities))
        self.loss = self._total(losses, theta)
        self.gradient = self._gradient(probabilities, theta)
        self.done = np.zeros(theta.shape[1], bool)
        self.memory: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.gain = np.ones(theta.shape[1])

    def _diagonal_inverse(self, curvatures: np.ndarray) -> Metric:
        """Return an initial inverse Hessian from curvatures [C, K, N]: one value for all weights, one for the bias."""
        total = (curvatures.mean(0) * self.problem.weights).sum(1) + TINY
        spread = np.ones(len(self.penalty))
        spread[:-1] /= max(len(spread) - 1, 1)  # rows have a mean square norm of 1, shared by their coordinates
        inverse = 1 / (np.outer(total, spread) + self.penalty)
        return lambda gradient: gradient * inverse

    def _dense_inverse(self, curvatures: np.ndarray) -> Metric:
        """Return an initial inverse Hessian that neglects only differences and interactions of classes and problems."""
        from scipy.linalg import cho_factor, cho_solve

        row_scales = np.sqrt((curvatures.mean(0) * self.problem.weights).mean(0)).astype(np.float32)
        hessian = np.zeros((len(self.penalty),) * 2, np.float32)
        for start in range(0, len(row_scales), BLOCK):
            scaled = self.problem.rows[start : start + BLOCK] * row_scales[start : start + BLOCK, None]
            hessian += scaled.T @ scaled
        hessian[np.diag_indices_from(hessian)] += self.penalty + ROUNDING * np.trace(hessian)
        factor = cho_factor(hessian, overwrite_a=True, check_finite=False)

        def apply(gradient: np.ndarray) -> np.ndarray:
            flat = gradient.reshape(-1, gradient.shape[-1]).T.astype(np.float32)
            return cho_solve(factor, flat, check_finite=False).T.reshape(gradient.shape).astype(np.float64)

        return apply

    def _total(self, losses: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return each problem's loss with its penalty, [K]."""
        return (losses * self.problem.weights).sum(1) + 0.5 * (self.penalty * theta**2).sum((0, 2))

    def _gradient(self, probabilities: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Return the gradient [C, K, P]; overwrites `probabilities` with the residuals."""
        probabilities[self.problem.targets, :, np.arange(len(self.problem.targets))] -= 1
        probabilities *= self.problem.weights
        return self.problem.gradients(probabilities) + self.penalty * theta

    def direction(self) -> np.ndarray:
        """Return minus the approximate inverse Hessian times the gradient, by the two-loop recursion (Nocedal 1980)."""
        q = self.gradient.copy()
        alphas = []
        for step, change, rho in reversed(self.memory):
            alphas.append(rho * _dots(step, q))
            q -= alphas[-1][:, None] * change
        q = self.inverse(q) * self.gain[:, None]
        for (step, change, rho), alpha in zip(self.memory, reversed(alphas), strict=True):
            q += (alpha - rho * _dots(change, q))[:, None] * step
        return -q

    def advance(self, step: np.ndarray, slope: np.ndarray) -> None:
        """Take the step, halved until the loss falls enough, and update the memory."""
        logits_step = self.problem.logits(step)
        length = np.where(self.done, 0.0, 1.0)
        for _ in range(HALVINGS):
            theta, logits = self.theta + length[:, None] * step, self.logits + length[:, None] * logits_step
            losses, probabilities = cross_entropy(self.problem, logits)
            loss = self._total(losses, theta)
            insufficient = loss > self.loss + SUFFICIENT * length * slope
            if not insufficient.any():
                break
            length = np.where(insufficient, length / 2, length)
        gradient = self._gradient(probabilities, theta)
        self._remember(theta - self.theta, gradient - self.gradient)
        self.theta, self.logits, self.loss, self.gradient = theta, logits, loss, gradient

    def _remember(self, step: np.ndarray, change: np.ndarray) -> None:
        """Add a step and its change of the gradient to the memory; problems without positive curvature are done."""
        product = _dots(step, change)
        curved = product > 0  # False if a problem is done, or moves only within the rounding of float32
        self.done |= ~curved
        safe = np.where(curved, product, 1.0)
        self.gain = np.where(curved, safe / (_dots(change, self.inverse(change)) + TINY), self.gain)
        self.memory = [*self.memory[1 - HISTORY :], (step, change, curved / safe)]


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the inner products [K] of parameters [C, K, P]."""
    return np.einsum("ckp,ckp->k", a, b)
