"""Two models on the same images: what is better, how sure that is, and which images tell them apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from transfercli.errors import DataError
from transfercli.evaluation.metrics.confusion import PER_CLASS, Array, Targets
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.bootstrap import RESAMPLES, drawn_weights
from transfercli.evaluation.statistics.intervals import CONFIDENCE, Interval, percentiles
from transfercli.evaluation.statistics.permutation_test import by_chance

Says = Literal["better", "worse", "no difference"]
ROUNDING = 1e-9
POWER_QUANTILE = 0.8416212335729143  # the normal quantile of 80% power


@dataclass(frozen=True, slots=True)
class Difference:
    """challenger - champion, and its interval from the paired bootstrap: both are judged on the same drawn images.

    None where a value is not defined; interval: None too where no resample differs.
    detectable: the difference that this many images would have shown with 80% power.
    """

    champion: float | None
    challenger: float | None
    difference: float | None
    interval: Interval | None
    detectable: float | None

    def as_json(self) -> dict[str, Any]:
        names = ("champion", "challenger", "difference", "detectable")
        return {name: getattr(self, name) for name in names} | {"interval": self.interval and list(self.interval)}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What two sets of predictions of the same images have to say of each other.

    metric: the one that decides
    metrics: a Difference for each row of METRICS, and of each class as `recall[LABEL]` (precision, f1)
    p_value: of McNemar's exact test: how likely so one-sided a disagreement is if both are equally often right
    fixed, broken: paths of the images that only the challenger has right, or only the champion
    by_chance: of the metric that decides, the share of random swaps of answers that gain as much; None: not defined
    """

    metric: str
    confidence: float
    examples: int
    metrics: dict[str, Difference]
    p_value: float
    fixed: tuple[str, ...]
    broken: tuple[str, ...]
    by_chance: float | None

    @property
    def decisive(self) -> Difference:
        """Of the metric that decides."""
        return self.metrics[self.metric]

    def gain(self) -> float | None:
        """How much better the challenger is; positive is better, also where less of the metric is."""
        value = self.decisive.difference
        return None if value is None else value * sign_of(self.metric)

    def gain_interval(self) -> Interval | None:
        """The interval of the gain."""
        return self._gains(self.metric)

    def says(self, metric: str) -> Says:
        """Of the challenger, by a metric: `better` or `worse` where the interval of the difference leaves 0 out.

        Of the metric that decides, swapping the two models' answers must confirm it: the interval alone is too tight
        where classes have few images.
        """
        low, high = self._gains(metric) or (0.0, 0.0)
        found: Says = "better" if low > 0 else "worse" if high < 0 else "no difference"
        if metric == self.metric and found != "no difference" and not self.is_rare(found):
            return "no difference"
        return found

    def as_much_by_chance(self, found: Says) -> float:
        """The share of random swaps that gain, or lose, at least as much; 0 where none is defined."""
        chance = self.by_chance
        return 0.0 if chance is None else chance if found == "better" else 1 - chance

    def is_rare(self, found: Says) -> bool:
        """Whether chance alone seldom gives as much: one in forty times at a confidence of 95%, on either side."""
        return self.as_much_by_chance(found) <= (1 - self.confidence) / 2 + ROUNDING

    def _gains(self, metric: str) -> Interval | None:
        interval, sign = self.metrics[metric].interval, sign_of(metric)
        return None if interval is None else (min(sign * end for end in interval), max(sign * end for end in interval))

    def as_json(self) -> dict[str, Any]:
        """Plain values that JSON can hold."""
        return {
            "metric": self.metric,
            "verdict": self.says(self.metric),
            "confidence": self.confidence,
            "examples": self.examples,
            "metrics": {name: one.as_json() for name, one in self.metrics.items()},
            "by_chance": self.by_chance,
            "mcnemar": {"fixed": len(self.fixed), "broken": len(self.broken), "p_value": self.p_value},
            "fixed": list(self.fixed),
            "broken": list(self.broken),
        }


def compare(
    champion: Predictions,
    challenger: Predictions,
    *,
    metric: str = "accuracy",
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Comparison:
    """Compare two models by their predictions of the same images, in the same order and with the same labels.

    Raises DataError where the images or their labels differ; `paired` takes what they have in common.
    """
    same = champion.paths == challenger.paths and champion.labels == challenger.labels
    if not same or not np.array_equal(champion.targets, challenger.targets) or not len(champion):
        raise DataError("the two models were not evaluated on the same images", "evaluate both on the same split")
    fixed, broken = told_apart(champion, challenger)
    return Comparison(
        metric=metric,
        confidence=confidence,
        examples=len(champion),
        metrics=_differences(champion, challenger, confidence, seed),
        p_value=mcnemar(len(fixed), len(broken)),
        fixed=tuple(champion.paths[index] for index in fixed),
        broken=tuple(champion.paths[index] for index in broken),
        by_chance=by_chance(champion, challenger, metric, seed),
    )


def told_apart(champion: Predictions, challenger: Predictions) -> tuple[Targets, Targets]:
    """Which of the same images only the challenger has right, int64 [F], and which only the champion, int64 [B]."""
    right = [one.predicted == one.targets for one in (champion, challenger)]
    return np.flatnonzero(right[1] & ~right[0]), np.flatnonzero(right[0] & ~right[1])


def mcnemar(fixed: int, broken: int) -> float:
    """The two-sided p-value of McNemar's exact test (1947): a coin thrown for each image that tells them apart."""
    from scipy.stats import binomtest

    return 1.0 if fixed + broken == 0 else float(binomtest(fixed, fixed + broken).pvalue)


def paired(one: Predictions, other: Predictions) -> tuple[Predictions, Predictions]:
    """Both, on the images that they have in common by path and true class, under the labels of either, sorted.

    A class that a model does not know has probability 0 there. Raises DataError where they have no image in common.
    """
    labels = tuple(sorted({*one.labels, *other.labels}))
    places = [_places(predictions) for predictions in (one, other)]
    common = [key for key in places[0] if key in places[1]]
    if not common:
        raise DataError("the two runs have no evaluated image in common", "evaluate both with the same --data DIR")
    first, second = (
        _under(predictions.of(np.array([place[key] for key in common])), labels)
        for predictions, place in zip((one, other), places, strict=True)
    )
    return first, second


def _places(predictions: Predictions) -> dict[tuple[str, str], int]:
    named = (predictions.labels[target] for target in predictions.targets)
    return {key: index for index, key in enumerate(zip(predictions.paths, named, strict=True))}


def _under(predictions: Predictions, labels: tuple[str, ...]) -> Predictions:
    columns = np.array([labels.index(label) for label in predictions.labels])
    probabilities = np.zeros((len(predictions), len(labels)))
    probabilities[:, columns] = predictions.probabilities
    return Predictions(predictions.paths, labels, columns[predictions.targets], probabilities)


def _differences(one: Predictions, other: Predictions, confidence: float, seed: int) -> dict[str, Difference]:
    values = [_values(Sample.whole(each.targets, each.probabilities), one.labels) for each in (one, other)]
    drawn: dict[str, list[Array]] = {name: [] for name in values[0]}
    for weights in drawn_weights(one.targets, RESAMPLES, np.random.default_rng(seed)):
        both = [_values(Sample(each.targets, each.probabilities, weights), one.labels) for each in (one, other)]
        for name, blocks in drawn.items():
            blocks.append(both[1][name] - both[0][name])
    return {
        name: _difference(float(values[0][name][0]), float(values[1][name][0]), np.concatenate(blocks), confidence)
        for name, blocks in drawn.items()
    }


def _values(sample: Sample, labels: tuple[str, ...]) -> dict[str, Array]:
    """[R] each: every metric, and those of every class."""
    found = {name: row.rule(sample) for name, row in METRICS.items()}
    for name, rule in PER_CLASS.items():
        of_classes = rule(sample.counts)
        found |= {f"{name}[{label}]": of_classes[:, index] for index, label in enumerate(labels)}
    return found


def _difference(champion: float, challenger: float, drawn: Array, confidence: float) -> Difference:
    known = drawn[np.isfinite(drawn)]
    spread = float(known.std()) if len(known) else 0.0
    detectable = (_quantile(confidence) + POWER_QUANTILE) * spread if spread > 0 else None
    return Difference(
        _plain(champion),
        _plain(challenger),
        _plain(challenger - champion),
        percentiles(drawn, confidence),
        detectable,
    )


def _quantile(confidence: float) -> float:
    """The two-sided normal quantile."""
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + confidence) / 2)


def sign_of(metric: str) -> int:
    """1, or -1 where less of the metric is better."""
    row = METRICS.get(metric)
    return 1 if row is None or row.higher_is_better else -1


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
