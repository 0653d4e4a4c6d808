"""Multinomial logistic regression, several problems on the same rows at once: the folds of a cross-validation.

What costs is going through the rows, so they are multiplied once for all problems: a fold is a vector of row weights,
zero where an image is held out. Everything else is small, and done in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

HISTORY = 20  # steps that L-BFGS remembers
ITERATIONS = 1000  # a bound that only a hopelessly scaled problem meets
SUFFICIENT = 1e-4  # share of the decrease promised by the slope that a step must bring (Armijo 1966)
HALVINGS = 30
TINY = 1e-300
ROUNDING = 1e-6  # of float32, relative to the trace
BLOCK = 4096  # rows copied at a time
DENSE = 4096  # coordinates up to which a matrix of them squared is factorised

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
        """Parameters that are zero but for the biases, the logarithms of the classes' shares; float64 [C, K, P]."""
        totals = np.stack([self.weights[:, self.targets == index].sum(1) for index in range(self.classes)])
        theta = np.zeros((*totals.shape, self.rows.shape[1]))
        theta[..., -1] = np.log(totals / totals.sum(0))
        return theta

    def logits(self, theta: np.ndarray) -> np.ndarray:
        """Float64 [C, K, N] of parameters [C, K, P]."""
        flat = theta.reshape(-1, theta.shape[-1]).astype(np.float32)
        return (flat @ self.rows.T).reshape(*theta.shape[:2], -1).astype(np.float64)

    def pull(self, residuals: np.ndarray) -> np.ndarray:
        """The gradients, float64 [C, K, P], that residuals [C, K, N] of the logits have in the parameters."""
        flat = residuals.reshape(-1, residuals.shape[-1]).astype(np.float32)
        return (flat @ self.rows).reshape(*residuals.shape[:2], -1).astype(np.float64)

    def own(self, values: np.ndarray) -> np.ndarray:
        """The entry of each row's own class: [N, K] of [C, K, N]."""
        return values[self.targets, :, np.arange(len(self.targets))]


def cross_entropy(problem: Problem, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of logits [C, K, N] the losses in nats, [K, N], and the probabilities, [C, K, N]."""
    top = logits.max(0)
    probabilities = np.exp(logits - top)
    sums = probabilities.sum(0)
    probabilities /= sums
    return top + np.log(sums) - problem.own(logits).T, probabilities


def fit(problem: Problem, theta: np.ndarray, strength: float, tolerance: float, *, dense: bool = False) -> np.ndarray:
    """The parameters float64 [C, K, P] that minimise each problem's loss, sought from `theta`.

    The loss is the weighted sum of the cross-entropies + |theta without the bias|^2 / (2 strength), as scikit-learn's
    `C` has it. A problem is done when its next step promises to lower its loss by a share of less than `tolerance`;
    the others do not move it. L-BFGS (Liu & Nocedal 1989) for each: logits are linear in the step, so its length is
    found without going through the rows again, and the loss is convex, so that every step that lowers it teaches
    something. dense: start from the inverse of a whole matrix, not of the mean curvature: far fewer steps, each at
    twice the cost, which pays where the tolerance asks for many.
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
    """Where the problems stand, and what L-BFGS remembers: steps, changes of the gradient, 1 / their inner products."""

    def __init__(self, problem: Problem, theta: np.ndarray, strength: float, dense: bool) -> None:
        self.problem, self.theta = problem, theta
        self.penalty = np.append(np.full(theta.shape[-1] - 1, 1 / strength), 0.0)
        self.logits = problem.logits(theta)
        losses, probabilities = cross_entropy(problem, self.logits)
        self.inverse = (self._dense if dense else self._mean)(probabilities * (1 - probabilities))
        self.loss = self._total(losses, theta)
        self.gradient = self._gradient(probabilities, theta)
        self.done = np.zeros(theta.shape[1], bool)
        self.memory: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self.gain = np.ones(theta.shape[1])

    def _mean(self, curvatures: np.ndarray) -> Metric:
        """A first inverse of the Hessian from curvatures [C, K, N]: one for all weights, another for the bias."""
        total = (curvatures.mean(0) * self.problem.weights).sum(1) + TINY
        spread = np.ones(len(self.penalty))
        spread[:-1] /= max(len(spread) - 1, 1)  # rows lie at a mean square distance of 1, shared by their coordinates
        inverse = 1 / (np.outer(total, spread) + self.penalty)
        return lambda gradient: gradient * inverse

    def _dense(self, curvatures: np.ndarray) -> Metric:
        """A first inverse of the Hessian that leaves out only how classes and problems differ and classes interact."""
        from scipy.linalg import cho_factor, cho_solve

        each = np.sqrt((curvatures.mean(0) * self.problem.weights).mean(0)).astype(np.float32)
        hessian = np.zeros((len(self.penalty),) * 2, np.float32)
        for begin in range(0, len(each), BLOCK):
            bent = self.problem.rows[begin : begin + BLOCK] * each[begin : begin + BLOCK, None]
            hessian += bent.T @ bent
        hessian[np.diag_indices_from(hessian)] += self.penalty + ROUNDING * np.trace(hessian)
        factor = cho_factor(hessian, overwrite_a=True, check_finite=False)

        def solved(gradient: np.ndarray) -> np.ndarray:
            flat = gradient.reshape(-1, gradient.shape[-1]).T.astype(np.float32)
            return cho_solve(factor, flat, check_finite=False).T.reshape(gradient.shape).astype(np.float64)

        return solved

    def _total(self, losses: np.ndarray, theta: np.ndarray) -> np.ndarray:
        return (losses * self.problem.weights).sum(1) + 0.5 * (self.penalty * theta**2).sum((0, 2))

    def _gradient(self, probabilities: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Turns the probabilities into residuals in place."""
        probabilities[self.problem.targets, :, np.arange(len(self.problem.targets))] -= 1
        probabilities *= self.problem.weights
        return self.problem.pull(probabilities) + self.penalty * theta

    def direction(self) -> np.ndarray:
        """The two-loop recursion (Nocedal 1980): minus the gradient times the inverse Hessian as far as it is known."""
        q = self.gradient.copy()
        shares = []
        for step, change, rho in reversed(self.memory):
            shares.append(rho * _dots(step, q))
            q -= shares[-1][:, None] * change
        q = self.inverse(q) * self.gain[:, None]
        for (step, change, rho), share in zip(self.memory, reversed(shares), strict=True):
            q += (share - rho * _dots(change, q))[:, None] * step
        return -q

    def advance(self, step: np.ndarray, slope: np.ndarray) -> None:
        """Go along the step as far as the loss falls, and learn from the way the gradient changed."""
        moved = self.problem.logits(step)
        length = np.where(self.done, 0.0, 1.0)
        for _ in range(HALVINGS):
            theta, logits = self.theta + length[:, None] * step, self.logits + length[:, None] * moved
            losses, probabilities = cross_entropy(self.problem, logits)
            loss = self._total(losses, theta)
            short = loss > self.loss + SUFFICIENT * length * slope
            if not short.any():
                break
            length = np.where(short, length / 2, length)
        gradient = self._gradient(probabilities, theta)
        self._learn(theta - self.theta, gradient - self.gradient)
        self.theta, self.logits, self.loss, self.gradient = theta, logits, loss, gradient

    def _learn(self, step: np.ndarray, change: np.ndarray) -> None:
        product = _dots(step, change)
        known = product > 0  # not where a problem rests, or moves within the rounding of float32
        self.done |= ~known
        safe = np.where(known, product, 1.0)
        self.gain = np.where(known, safe / (_dots(change, self.inverse(change)) + TINY), self.gain)
        self.memory = [*self.memory[1 - HISTORY :], (step, change, known / safe)]


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The inner products [K] of parameters [C, K, P]."""
    return np.einsum("ckp,ckp->k", a, b)
