"""Thresholds: the probability from which a label is answered, chosen on held-out images.

Candidates are the points half way between neighbouring scores, all in float32, the type that artefacts compute, so that
the rounding of another runtime changes no answer. Every candidate is tried. The precision and recall that a threshold
promises on new images are estimated by cross-validation, because those of the images that chose it are too high.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from transfercli.config.schema import ThresholdConfig
from transfercli.data.clusters import cluster_indices
from transfercli.evaluation.confidence.abstention import RISK
from transfercli.evaluation.confidence.selective import independent_images
from transfercli.models.tasks.answers import as_float32

Array = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rule = str | Mapping[str, float]  # f1, expected_f1, {"recall": R} or {"precision": P}

DEFAULT_THRESHOLD = 0.5
FOLDS = 5
ROUNDING = 1e-9  # of a share of images


@dataclass(frozen=True, slots=True)
class Choice:
    """A threshold and its quality.

    threshold: probability from which the label is answered, a number of float32
    precision, recall, f1: on the images that it was chosen on; None if not defined
    promised_precision, promised_recall: that new images have at least, with 95% certainty; None if not defined
    positives, negatives: number of images that it was chosen on
    reason: why the rule was not followed; "" if it was
    """

    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None
    promised_precision: float | None
    promised_recall: float | None
    positives: int
    negatives: int
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CutPoints:
    """Answers at each of K thresholds, in descending order; the last one answers every image.

    threshold, answered: float64 [K]; right: float64 [K], the number of answers that are right, or its expectation
    positives: number of images with the label, or its expectation
    """

    threshold: Array
    answered: Array
    right: Array
    positives: float

    @classmethod
    def of(cls, scores: Array, positive: Array) -> CutPoints:
        """Return the cut points of scores [N]; positive: [N], 1 with the label, 0 without, or a probability."""
        values = as_float32(scores)
        order = np.argsort(-values, kind="stable")
        values = values[order]
        ends = np.flatnonzero(np.r_[np.diff(values) != 0, True])
        upper, lower = values[ends][:-1], values[ends][1:]
        middle = as_float32((upper + lower) / 2)
        thresholds = np.r_[np.where(middle > lower, middle, upper), 0.0]  # no float32 is between two neighbours
        return cls(thresholds, (ends + 1).astype(np.float64), np.cumsum(positive[order])[ends], float(positive.sum()))

    @property
    def precision(self) -> Array:
        return self.right / self.answered

    @property
    def recall(self) -> Array:
        return self.right / self.positives

    @property
    def f1(self) -> Array:
        return 2 * self.right / (self.answered + self.positives)


def highest_f1(points: CutPoints) -> int:
    """Return the point with the highest F1; the highest threshold if several have it."""
    return _first_best(points.f1)


def for_recall(points: CutPoints, target: float) -> int:
    """Return the point with the highest precision of those with at least this recall."""
    reached = points.right >= target * points.positives - ROUNDING
    return _first_best(np.where(reached, points.precision, -1))


def for_precision(points: CutPoints, target: float) -> int:
    """Return the point with the highest recall of those with at least this precision.

    If none has it, return the point with the highest precision.
    """
    reached = (points.right >= target * points.answered - ROUNDING) & (points.right > 0)
    return _first_best(np.where(reached, points.right, -1) if reached.any() else points.precision)


def _first_best(values: Array) -> int:
    return int(np.flatnonzero(values >= values.max() - ROUNDING)[0])


RULES: dict[str, Callable[[CutPoints, float], int]] = {
    "f1": lambda points, _: highest_f1(points),
    "expected_f1": lambda points, _: highest_f1(points),
    "recall": for_recall,
    "precision": for_precision,
}


def rule_of(config: str | ThresholdConfig | None) -> Rule | None:
    """Return the rule of `evaluation.threshold` or `evaluation.thresholds`; None for a threshold of 0.5."""
    return config.model_dump(exclude_none=True) if isinstance(config, ThresholdConfig) else config


def rule_in_words(rule: Rule) -> str:
    """Return the rule for a message: `f1` or `precision 0.9`."""
    return rule if isinstance(rule, str) else " ".join(f"{name} {target:g}" for name, target in rule.items())


def checked_rule(value: Any) -> Rule | None:
    """Return a rule that was stored as JSON, or None. Raises ValueError if it is none."""
    if value is None or (isinstance(value, str) and value in RULES):
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, target),) = value.items()
        if name in ("recall", "precision") and type(target) in (int, float):
            return {name: target}
    raise ValueError(f"the rule of the thresholds is {str(value)[:100]}")


def read_choice(value: Mapping[str, Any]) -> Choice:
    """Return a choice that was stored as JSON. Raises ValueError or TypeError if it is damaged."""
    choice = Choice(**value)
    if not 0 <= choice.threshold <= 1:
        raise ValueError(f"a threshold is {choice.threshold}")
    return choice


def choose_threshold(scores: Array, positive: Bools, rule: Rule, groups: Sequence[str] = ()) -> Choice:
    """Return the threshold that a rule chooses for one label, with an estimate of its quality on new images.

    scores: float64 [N], calibrated probabilities; positive: bool [N], True for images with the label. groups: of the
    images, as in `Split`; a group is in one fold.

    Without an image that has the label, or one that has not, the threshold is 0.5. A precision that no threshold
    reaches is answered by the threshold of the highest precision. Both are said in `reason`.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        missing = "with" if negatives else "without"
        reason = f"no image {missing} the label" if len(scores) else "no image for which the label is known"
        return Choice(DEFAULT_THRESHOLD, None, None, None, None, None, positives, negatives, reason)
    clusters = cluster_indices(groups)
    clusters = np.arange(len(scores)) if clusters is None else clusters
    threshold = _chosen(scores, positive, rule)
    answered = as_float32(scores) >= threshold
    precision, recall, f1 = _quality(answered, positive)
    held_out = _answered_out_of_fold(scores, positive, rule, clusters)
    name, target = _parts(rule)
    reason = ""
    if name == "precision" and (precision or 0) < target - ROUNDING:
        reason = f"no threshold reaches precision {target:g}: the highest is {precision or 0:.3f}"
    return Choice(
        threshold,
        precision,
        recall,
        f1,
        lower_bound(positive[held_out], clusters[held_out]) if held_out.any() else None,
        lower_bound(held_out[positive], clusters[positive]),
        positives,
        negatives,
        reason,
    )


def lower_bound(right: Bools, clusters: npt.NDArray[np.int64]) -> float:
    """Return the share of right answers that new images have at least, with 95% certainty (Clopper & Pearson 1934).

    right: bool [N]; clusters: int [N], the cluster of each; images of a cluster count as fewer independent ones.
    """
    from scipy.special import betaincinv

    images = float(independent_images(clusters)[-1])
    hits = float(right.mean()) * images
    return float(betaincinv(hits, images - hits + 1, RISK)) if hits else 0.0


def _parts(rule: Rule) -> tuple[str, float]:
    if isinstance(rule, str):
        return rule, math.nan
    ((name, target),) = rule.items()
    return name, target


def _chosen(scores: Array, positive: Bools, rule: Rule) -> float:
    name, target = _parts(rule)
    counted: Array = scores if name == "expected_f1" else positive.astype(np.float64)
    points = CutPoints.of(scores, counted)
    return float(points.threshold[RULES[name](points, target)])


def _answered_out_of_fold(scores: Array, positive: Bools, rule: Rule, clusters: npt.NDArray[np.int64]) -> Bools:
    """Return the answers at thresholds that the other folds choose, bool [N]; False if those have no positive."""
    count = int(clusters.max()) + 1
    share = np.bincount(clusters, positive, count) / np.maximum(np.bincount(clusters, minlength=count), 1)
    fold = np.empty(count, np.int64)
    fold[np.argsort(-share, kind="stable")] = np.arange(count) % FOLDS  # each fold has its share of the positives
    answered = np.zeros(len(scores), bool)
    for number in range(FOLDS):
        mine = fold[clusters] == number
        if positive[~mine].any():
            answered[mine] = as_float32(scores[mine]) >= _chosen(scores[~mine], positive[~mine], rule)
    return answered


def _quality(answered: Bools, positive: Bools) -> tuple[float | None, float, float]:
    """Return precision, None without an answer, recall and F1."""
    right, given, there = int((answered & positive).sum()), int(answered.sum()), int(positive.sum())
    return right / given if given else None, right / there, 2 * right / (given + there)
