"""Forecast of the accuracy that more labels would buy, by extrapolation of a learning curve.

The error falls with the number n of labelled images as an inverse power law above a floor: c + a n^-b (Cortes et al.
1993, "Learning curves: asymptotic values and rate of convergence"; Figueroa et al. 2012, "Predicting sample size
required for classification performance"). A few points with much noise do not determine three parameters. So the
forecast is the mean over all curves that fit, each with its weight: a Bayesian posterior on a grid, with priors for the
exponent and for the share of the present error that no label removes. The interval has the noise of a real choice of
images too: two random choices of the same size do not give the same accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from transfercli.transfer.labelling.learning_curve import LearningCurve

LEVEL = 0.9  # of the intervals
EXPONENT, EXPONENT_SPREAD = 0.45, 0.6  # median of the prior of b, and the standard deviation of its logarithm
STEPS = 48  # of the grid, for each parameter
MISFIT = 0.03  # standard deviation of the power law's relative error
# Standard deviation between random choices of n images: this times sqrt(error (1 - error)) / n^power. Measured on real
# data: benchmarks/RESULTS.md, "data next".
CHOICE_NOISE, CHOICE_POWER = 0.5, 0.375
DRAWS = 4000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gain:
    """Gain in accuracy by a number of labels. low, high: the interval."""

    labels: int
    gain: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Forecast:
    """Posterior of learning curves, from `DRAWS` draws.

    Attributes:
        images: number of labelled images n.
        errors: float64 [D], error at n.
        exponents: float64 [D], b.
        floors: float64 [D], the share of the error at n that no label removes.
        noise: float64 [D], standard normal, the luck of the choice.
        chance: largest error possible.
        luck: standard deviation between choices, over `_spread`.
    """

    images: int
    errors: Floats
    exponents: Floats
    floors: Floats
    noise: Floats
    chance: float
    luck: float

    @cached_property
    def accuracy(self) -> tuple[float, float, float]:
        """The present accuracy of a head on all labelled images, with its interval."""
        low, high = _interval(1 - self.errors)
        return float(1 - self.errors.mean()), low, high

    def gain(self, labels: int) -> Gain:
        """Return the gain by labels of randomly chosen images."""
        after = self._errors_at(labels)
        gains = self.errors - after
        total = self.images + labels
        before, now = self.luck * _spread(self.errors, self.images), self.luck * _spread(after, total)
        shared = (self.images / total) ** 0.5
        luck = np.sqrt(np.maximum(before**2 + now**2 - 2 * shared * before * now, 0))
        low, high = _interval(np.clip(gains + luck * self.noise, after * 0 - 1, self.errors))
        return Gain(labels, float(gains.mean()), low, high)

    def labels_for(self, accuracy: float, most_times: float) -> tuple[int | None, int | None, int | None]:
        """Return the labels needed for an accuracy, and the interval of that number.

        None is more than `most_times` the present number of labels, or never.
        """
        share = (1 - accuracy) / np.maximum(self.errors, 1e-9)
        above = (share - self.floors) / (1 - self.floors)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            times = np.where(above > 0, np.maximum(above, 1e-300) ** (-1 / self.exponents), np.inf)
        times = np.where(share >= 1, 1.0, times)
        found = np.quantile(times, [0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2], method="higher")
        middle, low, high = (None if t > most_times else int(np.ceil((t - 1) * self.images)) for t in found)
        return middle, low, high

    def _errors_at(self, labels: int) -> Floats:
        shape = self.floors + (1 - self.floors) * (1 + labels / self.images) ** -self.exponents
        return self.errors * shape


def forecast(curve: LearningCurve, seed: int) -> Forecast:
    """Return the posterior of the learning curves that go through a measured one."""
    chance = 1 - 1 / curve.classes
    exponents, floors, weights = _prior()
    ratio = curve.sizes / curve.images
    shapes = floors[:, None] + (1 - floors[:, None]) * ratio[None] ** -exponents[:, None]  # [G, J]
    precision = np.linalg.inv(_noise(curve))
    # Given its shape, a curve is linear in its error at n, so that its best error and the fit are closed forms.
    information = np.einsum("gj,jk,gk->g", shapes, precision, shapes)
    best = shapes @ precision @ curve.errors / information
    likelihood = 0.5 * (information * best**2 - np.log(information))
    log_weights = np.log(weights) + likelihood
    chances = np.exp(log_weights - log_weights.max())
    rng = np.random.default_rng(seed)
    rows = np.searchsorted(np.cumsum(chances), (np.arange(DRAWS) + rng.random(DRAWS)) / DRAWS * chances.sum())
    rows = np.minimum(rows, len(chances) - 1)
    errors = best[rows] + rng.standard_normal(DRAWS) / np.sqrt(information[rows])
    errors = np.clip(errors, 0.5 / (curve.images + 1) * 0.1, chance)
    return Forecast(
        curve.images, errors, exponents[rows], floors[rows], rng.standard_normal(DRAWS), chance, _luck(curve)
    )


def _prior() -> tuple[Floats, Floats, Floats]:
    """Return exponents, floors and their prior weights, [G] each."""
    scores = (np.arange(STEPS) + 0.5) / STEPS
    from scipy.special import ndtri

    exponents = EXPONENT * np.exp(EXPONENT_SPREAD * ndtri(scores))
    b, u = np.meshgrid(exponents, scores, indexing="ij")
    return b.ravel(), u.ravel(), np.full(b.size, 1 / b.size)


def _noise(curve: LearningCurve) -> Floats:
    """Return the covariance [J, J] of the measured errors about the power law."""
    smoothed = (curve.errors * curve.tested + 1) / (curve.tested + 2)
    least = smoothed * (1 - smoothed) / curve.tested
    missing = max(float((least - np.diag(curve.covariance)).max()), 0.0)
    luck = np.square(_luck(curve) * _spread(smoothed, curve.sizes)) / 4
    return np.asarray(curve.covariance + missing + np.diag(np.square(MISFIT * smoothed) + luck))


def _spread(errors: Floats, images: float | Floats) -> Floats:
    """Return the standard deviation of the error between random choices of so many images, but for a factor."""
    return np.asarray(np.sqrt(np.maximum(errors * (1 - errors), 0)) / images**CHOICE_POWER)


def _luck(curve: LearningCurve) -> float:
    return float(CHOICE_NOISE * curve.unevenness**0.5)


def _interval(draws: Floats) -> tuple[float, float]:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
