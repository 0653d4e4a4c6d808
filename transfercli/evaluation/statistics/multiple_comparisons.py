"""Comparisons of several models with one: p-values and intervals that hold for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transfercli.evaluation.statistics.design_effect import normal_quantile
from transfercli.evaluation.statistics.intervals import Interval
from transfercli.evaluation.statistics.paired import ROUNDING, Comparison, Outcome


@dataclass(frozen=True, slots=True)
class Adjusted:
    """One of several comparisons, corrected for their number; a comparison that is alone stays as it is.

    Attributes:
        p_value: two-sided, of the decisive metric; not corrected.
        p_holm: the same, corrected.
        mcnemar_holm: that of McNemar's test, corrected.
        interval: of the difference in the decisive metric; all intervals together hold the comparison's confidence.
        outcome: as `Comparison.outcome`, and significant after the correction.
    """

    p_value: float
    p_holm: float
    mcnemar_holm: float
    interval: Interval | None
    outcome: Outcome


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number, in the same order.

    Rejecting those of at most alpha keeps the probability of one false rejection or more at alpha, however the tests
    depend on each other (Holm 1979, "A simple sequentially rejective multiple test procedure").
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def adjust(comparisons: Sequence[Comparison], p_values: Sequence[float]) -> list[Adjusted]:
    """Correct comparisons with the same first model. p_values: two-sided, of the decisive metric of each."""
    decisive, mcnemar = holm(p_values), holm([each.p_value for each in comparisons])
    return [
        Adjusted(
            p_value=p_values[number],
            p_holm=decisive[number],
            mcnemar_holm=mcnemar[number],
            interval=simultaneous_interval(each, len(comparisons)),
            outcome=_outcome(each, decisive[number], len(comparisons)),
        )
        for number, each in enumerate(comparisons)
    ]


def _outcome(compared: Comparison, p_holm: float, comparisons: int) -> Outcome:
    outcome = compared.outcome(compared.metric)
    significant = p_holm <= 1 - compared.confidence + ROUNDING
    return outcome if comparisons == 1 or significant else "no difference"


def simultaneous_interval(compared: Comparison, comparisons: int) -> Interval | None:
    """Return the interval of the decisive difference, with the confidence divided as by Bonferroni.

    For one comparison it is that of the resamples. For more, resamples are too few for its far ends, which are normal
    quantiles of their standard error instead. None if there is no interval for one comparison.
    """
    decisive = compared.decisive
    if comparisons == 1 or decisive.interval is None or decisive.difference is None or decisive.error is None:
        return decisive.interval
    confidence = 1 - (1 - compared.confidence) / comparisons
    half = normal_quantile(confidence, compared.groups) * decisive.error
    bounds = compared.scoring.metrics[compared.metric].bounds
    most = bounds.high - bounds.low
    return max(-most, decisive.difference - half), min(most, decisive.difference + half)
