"""Metrics that are expected of answers without labels, from the probability that each decision is right.

They are functions of the expected counts of each class or label: of right answers, answers, and images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from transfercli.evaluation.metrics import confusion
from transfercli.evaluation.metrics.confusion import Array, Counts, ratio
from transfercli.evaluation.monitoring.answered_images import AnsweredImages, LabelledAnswers, from_log_odds, log_odds

PRESENT = 0.5  # expected images of a class, from which it counts as one with images
STEPS = 60  # of the bisection
FARTHEST = 30.0  # log odds
DRAWS = 200  # of labels, and of held-out images

Present = npt.NDArray[np.bool_]
# Counts with arrays [R, C], the number of decisions per set, and the classes that have images, [R, C] -> [R].
Rule = Callable[[Counts, float | Array, Present], Array]


def _over_present(metric: Callable[[Counts], Array]) -> Rule:
    def rule(counts: Counts, _: float | Array, present: Present) -> Array:
        return ratio(np.where(present, np.nan_to_num(metric(counts)), 0.0).sum(axis=-1), present.sum(axis=-1))

    return rule


def _over_all(metric: Callable[[Counts], Array]) -> Rule:
    return lambda counts, *_: metric(Counts(*(each.sum(axis=-1) for each in _parts(counts))))


def _accuracy_of_pairs(counts: Counts, pairs: float | Array, _: Present) -> Array:
    right, answered, support = (each.sum(axis=-1) for each in _parts(counts))
    return (pairs - answered - support + 2 * right) / pairs


def _parts(counts: Counts) -> tuple[Array, Array, Array]:
    return counts.right, counts.predicted, counts.support


# Precision and recall of single classes, and their means, are not here: their intervals held the truth in 73% to 91%.
OF_CLASSES: dict[str, Rule] = {
    "accuracy": _over_all(lambda counts: ratio(counts.right, counts.support)),
    "balanced_accuracy": _over_present(confusion.recall),
    "macro_f1": _over_present(confusion.f1),
}
OF_LABELS: dict[str, Rule] = {
    "accuracy": _accuracy_of_pairs,
    "micro_f1": _over_all(confusion.f1),
    "macro_f1": _over_present(confusion.f1),
}
OF_ONE = "f1"  # the metric of one class or label


def metric_rules(*, several: bool) -> Mapping[str, Rule]:
    """Return the metrics of a whole set that can be expected."""
    return OF_LABELS if several else OF_CLASSES


def metric_values(
    counts: Counts, pairs: float | Array, names: Sequence[str], *, several: bool, among: Present | None = None
) -> dict[str, Array]:
    """Return each metric of counts with arrays [R, C], [R]; NaN if it is not defined.

    pairs: number of decisions, of all sets or of each. among: classes that images are expected of, [C], if some of the
    counted ones are doubtful. The F1 of a class is under `f1[3]` and so on, with its index.
    """
    present = (counts.support >= PRESENT) & (True if among is None else among)
    values = {name: rule(counts, pairs, present) for name, rule in metric_rules(several=several).items()}
    of_classes = np.where(present, confusion.f1(counts), np.nan)
    values |= {of_one(label): of_classes[..., label] for label in range(of_classes.shape[-1])}
    return {name: values[name] for name in names}


def metric_names(classes: int, *, several: bool) -> tuple[str, ...]:
    """Return the names of all metrics of `metric_values`."""
    return (*metric_rules(several=several), *map(of_one, range(classes)))


def of_one(index: int) -> str:
    """Return the name of the F1 of the class or label with an index."""
    return f"{OF_ONE}[{index}]"


def moved_to(certainty: Array, accuracy: float) -> Array:
    """Return certainties whose mean is the accuracy: their log odds are moved by one amount.

    certainty: the probability that each decision is right.
    """
    odds = log_odds(certainty)
    low, high = -FARTHEST, FARTHEST
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if from_log_odds(odds + middle).mean() > accuracy else (middle, high)
    return from_log_odds(odds + (low + high) / 2)


def class_probabilities(answers: AnsweredImages, certainty: Array) -> Array:
    """Return the probability of each class or label, [N, C], if decisions are right with these probabilities.

    The other classes of an image keep their shares of the rest.
    """
    if answers.several:
        return np.where(answers.answered, certainty, 1 - certainty)
    others = np.where(answers.answered, 0.0, answers.probabilities) + 1e-12
    others = np.where(answers.answered, 0.0, others)
    shares = others / others.sum(axis=1, keepdims=True)
    return np.where(answers.answered, certainty, shares * (1 - certainty))


def expected_counts(answers: AnsweredImages, probabilities: Array) -> Counts:
    """Return the expected counts, each [1, C], of probabilities [N, C] of the classes or labels."""
    sums = (probabilities * answers.answered, answers.answered, probabilities)
    return Counts(*(each.sum(axis=0, keepdims=True, dtype=np.float64) for each in sums))


def drawn_counts(answers: AnsweredImages, probabilities: Array, seed: int) -> Counts:
    """Return the counts of `DRAWS` sets of labels drawn with the probabilities, each [DRAWS, C]."""
    rng = np.random.default_rng([seed, len(answers)])
    classes = probabilities.shape[1]
    right, support = np.zeros((DRAWS, classes)), np.zeros((DRAWS, classes))
    cumulative = np.cumsum(probabilities, axis=1)
    for draw in range(DRAWS):
        if answers.several:
            labels = rng.random(probabilities.shape) < probabilities
            right[draw], support[draw] = (labels & answers.answered).sum(axis=0), labels.sum(axis=0)
            continue
        chosen = (rng.random((len(answers), 1)) * cumulative[:, -1:] > cumulative).sum(axis=1)
        chosen = np.minimum(chosen, classes - 1)
        support[draw] = np.bincount(chosen, minlength=classes)
        right[draw] = np.bincount(chosen[chosen == answers.classes], minlength=classes)
    answered = np.broadcast_to(answers.answered.sum(axis=0, dtype=np.float64), right.shape)
    return Counts(right, answered, support)


def resampled_counts(held_out: LabelledAnswers, seed: int) -> tuple[Counts, Array]:
    """Return the counts of `DRAWS` resamples of held-out images, each [DRAWS, C], and the decisions of each.

    Whole groups are drawn, as images of one subject resemble each other.
    """
    rng = np.random.default_rng([seed, len(held_out)])
    groups = held_out.answers.groups
    units = np.arange(len(held_out)) if groups is None else np.unique(groups, return_inverse=True)[1]
    number = int(units.max()) + 1
    weights = rng.multinomial(number, np.full(number, 1 / number), DRAWS)[:, units].astype(np.float64)
    known = held_out.truth != -1
    truth, answered = held_out.truth == 1, held_out.answers.answered & known
    counts = Counts(*(weights @ each.astype(np.float64) for each in (truth & answered, answered, truth)))
    return counts, weights @ held_out.known.sum(axis=1).astype(np.float64)
