"""Paired comparison of two models on the same images: differences, their intervals, McNemar's test."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from transfercli.data.clusters import cluster_indices, count_clusters
from transfercli.errors import DataError
from transfercli.evaluation.metric_tables import ALL_METRICS
from transfercli.evaluation.metrics.confusion import Array, Targets
from transfercli.evaluation.metrics.registry import Bounds
from transfercli.evaluation.scoring import CLASSES, Predicted, Scoring, scoring_of
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, resample_weights
from transfercli.evaluation.statistics.design_effect import expanded_confidence, normal_quantile
from transfercli.evaluation.statistics.exact_tests import gain_p_value, mcnemar, net_counts, sign_flip_p_value
from transfercli.evaluation.statistics.intervals import CONFIDENCE, Interval, percentiles
from transfercli.evaluation.statistics.permutation_test import permutation_p_value

Outcome = Literal["better", "worse", "no difference"]
ROUNDING = 1e-9
POWER_QUANTILE = 0.8416212335729143  # the normal quantile of 80% power


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of a metric, challenger - champion, with its interval from the paired bootstrap.

    Attributes:
        champion, challenger, difference: None if they are not defined.
        interval: None if it is not defined, or if the difference is the same in all resamples.
        detectable: the true difference that this number of images shows with 80% power; None without an interval, and
            if no possible difference is large enough.
    """

    champion: float | None
    challenger: float | None
    difference: float | None
    interval: Interval | None
    detectable: float | None
    error: float | None = None

    def as_json(self) -> dict[str, Any]:
        names = ("champion", "challenger", "difference", "detectable")
        return {name: getattr(self, name) for name in names} | {"interval": self.interval and list(self.interval)}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Comparison of two models by their predictions of the same images.

    metric: the decisive metric
    metrics: a Difference for each metric of the task, and for each class as `recall[LABEL]` (precision, f1)
    p_value: of McNemar's exact test, two-sided, on images or on groups of them
    fixed, broken: paths of the images that only the challenger has right, and that only the champion has right
    by_chance: one-sided p-value of the permutation test on the decisive metric; None if it is not defined
    groups: number of independent groups of images; None if no image has a group
    exact: one-sided p-values of a gain and of a loss (`gain_p_value`), if images are in groups; else None
    scoring: of the task
    """

    metric: str
    confidence: float
    examples: int
    metrics: dict[str, Difference]
    p_value: float
    fixed: tuple[str, ...]
    broken: tuple[str, ...]
    by_chance: float | None
    groups: int | None = None
    exact: tuple[float, float] | None = None
    scoring: Scoring = field(default=CLASSES, repr=False)

    @property
    def decisive(self) -> Difference:
        """The difference in the decisive metric."""
        return self.metrics[self.metric]

    def gain(self) -> float | None:
        """Return the gain in the decisive metric: positive if the challenger is better, also if lower values are."""
        value = self.decisive.difference
        return None if value is None else value * metric_sign(self.metric)

    def gain_interval(self) -> Interval | None:
        """Return the interval of the gain."""
        return self._gain_interval(self.metric)

    def outcome(self, metric: str) -> Outcome:
        """Return `better` or `worse` if the interval of the challenger's gain in `metric` excludes 0.

        For the decisive metric the permutation test must confirm it, because the interval alone is too narrow if
        classes have few images. There is no interval if the models differ in the same way on every image of a class:
        all resamples, which are stratified by class, have the same gain then. In this case the exact test must confirm
        the gain or loss of a metric of counts, too.
        """
        gain = (self.gain() or 0.0) if metric == self.metric else 0.0
        low, high = self._gain_interval(metric) or (gain, gain)
        outcome: Outcome = "better" if low > 0 else "worse" if high < 0 else "no difference"
        if metric == self.metric and outcome != "no difference":
            confirmed = self.confirmed_by_swaps(outcome) and self.confirmed_by_exact_test(outcome)
            return outcome if confirmed else "no difference"
        return outcome

    def exact_p_value(self, outcome: Outcome) -> float | None:
        """Return the one-sided p-value of an exact test; None if it is not needed or does not apply.

        With groups of images it always decides, too: a few groups can agree by chance in ways that ties of the
        permutation test would hide. Without, it is McNemar's test if there is no interval, for metrics of counts: it
        tests if the images of disagreement are fixed and broken equally often.
        """
        if self.exact is not None:
            return self.exact[outcome == "worse"]
        if self.decisive.interval is not None or self.metric not in self.scoring.decided:
            return None
        wins, losses = len(self.fixed), len(self.broken)
        if outcome == "worse":
            wins, losses = losses, wins
        return sign_flip_p_value(np.repeat([1, -1], [wins, losses]))

    def confirmed_by_exact_test(self, outcome: Outcome) -> bool:
        """Return True if the exact test is significant or does not apply."""
        p_value = self.exact_p_value(outcome)
        return p_value is None or p_value <= self.significance

    @property
    def significance(self) -> float:
        """Largest one-sided p-value that is significant: 2.5% at a confidence of 95%."""
        return (1 - self.confidence) / 2 + ROUNDING

    def swap_p_value(self, outcome: Outcome) -> float:
        """Return the share of random swaps that gain, or lose, at least as much; 0 if it is not defined."""
        share = self.by_chance
        return 0.0 if share is None else share if outcome == "better" else 1 - share

    def confirmed_by_swaps(self, outcome: Outcome) -> bool:
        """Return True if the permutation test is significant."""
        return self.swap_p_value(outcome) <= self.significance

    def _gain_interval(self, metric: str) -> Interval | None:
        interval, sign = self.metrics[metric].interval, metric_sign(metric)
        return None if interval is None else (min(sign * end for end in interval), max(sign * end for end in interval))

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as values for JSON."""
        return {
            "metric": self.metric,
            "verdict": self.outcome(self.metric),
            "confidence": self.confidence,
            "examples": self.examples,
            "groups": self.groups,
            "metrics": {name: difference.as_json() for name, difference in self.metrics.items()},
            "by_chance": self.by_chance,
            "mcnemar": {"fixed": len(self.fixed), "broken": len(self.broken), "p_value": self.p_value},
            "fixed": list(self.fixed),
            "broken": list(self.broken),
        }


def compare(
    champion: Predicted,
    challenger: Predicted,
    *,
    metric: str = "accuracy",
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Comparison:
    """Compare two models by their predictions of the same images, in the same order and with the same labels.

    The bootstrap draws, and the tests swap, whole groups of images, if the predictions have groups. Raises DataError if
    images or labels differ; `align_predictions` selects the images in common.
    """
    same = champion.paths == challenger.paths and champion.labels == challenger.labels
    if not same or not np.array_equal(champion.targets, challenger.targets) or not len(champion):
        raise DataError("the two models were not evaluated on the same images", "evaluate both on the same split")
    champion = replace(champion, groups=champion.groups or challenger.groups)
    of_image = cluster_indices(champion.groups)
    fixed, broken = disagreements(champion, challenger)
    exact: tuple[float, float] | None = None
    if of_image is not None:
        challenger = replace(challenger, groups=champion.groups)
        gain, loss = ((champion, challenger), (challenger, champion))
        exact = gain_p_value(*gain, metric, seed), gain_p_value(*loss, metric, seed)
    return Comparison(
        metric=metric,
        confidence=confidence,
        examples=len(champion),
        metrics=_differences(champion, challenger, confidence, seed, of_image),
        p_value=mcnemar(net_counts(champion, challenger)),
        fixed=tuple(champion.paths[index] for index in fixed),
        broken=tuple(champion.paths[index] for index in broken),
        by_chance=permutation_p_value(champion, challenger, metric, seed),
        groups=count_clusters(champion.groups),
        exact=exact,
        scoring=scoring_of(champion),
    )


def disagreements(champion: Predicted, challenger: Predicted) -> tuple[Targets, Targets]:
    """Return the indices of images that only the challenger has right, int64 [F], and only the champion, int64 [B]."""
    right = [scoring_of(model).right(model) for model in (champion, challenger)]
    return np.flatnonzero(right[1] & ~right[0]), np.flatnonzero(right[0] & ~right[1])


def align_predictions(first: Predicted, second: Predicted) -> tuple[Predicted, Predicted]:
    """Return both models' predictions of the images in common, under the labels of both.

    An image is in common if its path and its truth are the same. A class that a model does not know has probability 0.
    Raises DataError if there is no image in common, or if only one of the models gives an image several labels.
    """
    if scoring_of(first) is not scoring_of(second):
        raise DataError(
            "one of the two runs gives an image several labels, the other one class: they answer different questions",
            "compare runs of the same task",
        )
    return scoring_of(first).aligned(first, second)


def _differences(
    champion: Predicted, challenger: Predicted, confidence: float, seed: int, of_image: Targets | None
) -> dict[str, Difference]:
    models, scoring = (champion, challenger), scoring_of(champion)
    clusters = None if of_image is None else int(of_image.max()) + 1
    values = [scoring.values(model) for model in models]
    drawn: dict[str, list[Array]] = {name: [] for name in values[0]}
    for weights in resample_weights(scoring.strata(champion), RESAMPLES, np.random.default_rng(seed), of_image):
        before, after = (scoring.values(model, weights) for model in models)
        for name, blocks in drawn.items():
            blocks.append(after[name] - before[name])
    bounds = {name: scoring.metrics[name].bounds if name in scoring.metrics else Bounds() for name in drawn}
    return {
        name: _difference(
            float(values[0][name][0]),
            float(values[1][name][0]),
            np.concatenate(blocks),
            bounds[name],
            confidence,
            clusters,
        )
        for name, blocks in drawn.items()
    }


def _difference(
    champion: float, challenger: float, drawn: Array, bounds: Bounds, confidence: float, clusters: int | None
) -> Difference:
    interval, detectable, error = percentiles(drawn, expanded_confidence(confidence, clusters)), None, None
    if interval is not None:
        error = float(drawn[np.isfinite(drawn)].std())
        shown = (normal_quantile(confidence, clusters) + POWER_QUANTILE) * error
        detectable = shown if shown < bounds.high - bounds.low else None
    return Difference(_plain(champion), _plain(challenger), _plain(challenger - champion), interval, detectable, error)


def metric_sign(metric: str) -> int:
    """Return 1 if higher values of the metric are better, -1 if lower ones are.

    In a metric that several tasks have, the direction is the same; of a metric of one class, higher is better.
    """
    row = ALL_METRICS.get(metric)
    return 1 if row is None or row.higher_is_better else -1


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
