"""Ranking of bases that were measured on the same images: paired differences, ties, and the best for each cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transfercli.evaluation.statistics.design_effect import normal_quantile
from transfercli.evaluation.statistics.intervals import CONFIDENCE, proportion_interval

TIED_ERRORS = 1.0  # standard errors within which a difference of log loss is noise, as in the choice of a penalty
# Part of the best log loss by which a cheaper base may be worse, its standard error included. That a difference is
# within noise is not enough: with few images the cheapest base would always win (benchmarks/RESULTS.md).
MARGIN = 0.05
SAME_COST = 1.25  # factor between times of one image that a measurement on a busy machine does not tell apart

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Outcomes of images that a probe was not trained on, NaN or False for images that were never held out.

    losses: float64 [N], log loss times the weight of the image; hits: bool [N].
    """

    losses: np.ndarray
    hits: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """True for each image that was held out, bool [N]."""
        return np.isfinite(self.losses)

    def of(self, images: np.ndarray) -> HeldOut:
        """Return the outcomes of some images, bool [N]; the others count as never held out."""
        return HeldOut(np.where(images, self.losses, np.nan), self.hits & images)


@dataclass(frozen=True)
class Difference:
    """Difference of a base from the best one, paired over images. accuracy_interval: at 95%."""

    accuracy: float
    accuracy_interval: Interval
    log_loss: float
    log_loss_error: float

    @property
    def is_noise(self) -> bool:
        """True if a difference as small may be due to the choice of images."""
        return self.log_loss <= TIED_ERRORS * self.log_loss_error

    def is_small(self, best_log_loss: float) -> bool:
        """Return True if the images show that the base is hardly worse than the best."""
        return self.log_loss + TIED_ERRORS * self.log_loss_error <= MARGIN * best_log_loss


@dataclass(frozen=True)
class Rank:
    """Place of a base among others.

    accuracy_interval: at 95%. difference: from the base of the least log loss; zeros for itself. tied: the images do
    not tell it from that one; as_good: they show that it is hardly worse. pareto: no other base is at least as accurate
    and as fast. recommended: the cheapest that is as good.
    """

    accuracy: float
    accuracy_interval: Interval
    log_loss: float
    log_loss_error: float
    difference: Difference
    tied: bool
    as_good: bool
    pareto: bool
    recommended: bool


def on_common_images(bases: Sequence[HeldOut], fewest: int) -> list[HeldOut]:
    """Return the outcomes of images that were held out for every base; unchanged if these are fewer than `fewest`."""
    common = np.all([base.known for base in bases], axis=0)
    return [base.of(common) for base in bases] if common.sum() >= fewest else list(bases)


def rank(bases: Sequence[HeldOut], seconds: Sequence[float], cluster_of: np.ndarray | None) -> list[Rank]:
    """Return the place of each of the bases, which must be one or more.

    seconds: time of one image; cluster_of: int [N], the cluster of each image, None if all are independent.
    """
    losses = [_mean(base.losses, base.known, cluster_of) for base in bases]
    least_loss, best = min(zip([loss for loss, _ in losses], bases, strict=True), key=lambda pair: pair[0])
    differences = [_difference(base, best, cluster_of) for base in bases]
    accuracies = [float(base.hits[base.known].mean()) for base in bases]
    good = [number for number, each in enumerate(differences) if each.is_small(least_loss) or bases[number] is best]
    least = min(seconds[number] for number in good)
    cheap = [number for number in good if seconds[number] <= SAME_COST * least]
    recommended = min(cheap, key=lambda number: losses[number][0])
    return [
        Rank(
            accuracies[number],
            _interval(base, cluster_of),
            *losses[number],
            differences[number],
            differences[number].is_noise,
            number in good,
            _is_pareto(number, accuracies, seconds),
            number == recommended,
        )
        for number, base in enumerate(bases)
    ]


def _mean(values: np.ndarray, known: np.ndarray, cluster_of: np.ndarray | None) -> tuple[float, float]:
    """Return the mean of the known values and its standard error, between clusters if there are some."""
    from transfercli.transfer.probe.probe import standard_error

    clusters = None if cluster_of is None else cluster_of[known]
    return float(values[known].mean()), standard_error(values[known], clusters)


def _difference(base: HeldOut, best: HeldOut, cluster_of: np.ndarray | None) -> Difference:
    known = base.known & best.known
    loss, loss_error = _mean(base.losses - best.losses, known, cluster_of)
    hits = base.hits.astype(np.float64) - best.hits
    gain, error = _mean(hits, known, cluster_of)
    clusters = None if cluster_of is None else len(np.unique(cluster_of[known]))
    half = normal_quantile(CONFIDENCE, clusters) * error
    return Difference(gain, (max(-1.0, gain - half), min(1.0, gain + half)), loss, loss_error)


def _interval(base: HeldOut, cluster_of: np.ndarray | None) -> Interval:
    known = base.known
    interval = proportion_interval(base.hits[known], None if cluster_of is None else cluster_of[known])
    assert interval is not None  # images were held out
    return interval


def _is_pareto(number: int, accuracies: Sequence[float], seconds: Sequence[float]) -> bool:
    accuracy, time = accuracies[number], seconds[number]
    return not any(
        a >= accuracy and t <= time and (a > accuracy or t < time) for a, t in zip(accuracies, seconds, strict=True)
    )
