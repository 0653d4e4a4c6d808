"""Test for excess errors: a model is wrong on new images more often than on earlier ones of the same classes.

Both sets are compared class by class, so that a new mix of classes, some harder than others, is no excess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PERMUTATIONS = 9999  # of groups; the smallest p-value is one in 10,000
_BLOCK = 500  # permutations in memory at a time
_ENOUGH = 50  # permutations with as many errors; then the p-value is known well enough (Besag & Clifford 1991)


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Errors of a model on N images.

    classes: int [N], the class of each image
    wrong: bool [N], True if the model's answer is another class
    groups: name of each image's group, "" for an image without one; empty if no image has one
    """

    classes: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.bool_]
    groups: Sequence[str] = ()


def excess_p_value(new: Outcomes, earlier: Outcomes) -> float:
    """Return the one-sided p-value of the hypothesis that new images have no more errors than earlier ones.

    Exact: given the number of errors in each class, those among its new images follow the hypergeometric distribution,
    independently in each class (Birch 1964, "The Detection of Partial Association"). Classes without images on one of
    the two sides say nothing; the p-value is 1 if there is no other class.

    Images of one group are not independent. If there are groups, they are permuted instead, at random with a fixed
    seed; an image without a group is a group of its own.
    """
    comparable = np.intersect1d(new.classes, earlier.classes)
    if not len(comparable):
        return 1.0
    new, earlier = (_selected(side, np.isin(side.classes, comparable)) for side in (new, earlier))
    if any(new.groups) or any(earlier.groups):
        return _p_value_of_groups(new, earlier)
    return _exact_p_value(new, earlier, comparable)


def expected_errors(new: Outcomes, earlier: Outcomes) -> tuple[float, int]:
    """Return the number of errors that new images would have at the error rates of the earlier ones of their classes.

    Also the number of those new images: images of classes without an earlier image are left out.
    """
    expected, images = 0.0, 0
    for label in np.intersect1d(new.classes, earlier.classes):
        count = int(np.sum(new.classes == label))
        expected += count * float(earlier.wrong[earlier.classes == label].mean())
        images += count
    return expected, images


def _selected(side: Outcomes, kept: npt.NDArray[np.bool_]) -> Outcomes:
    groups = [group for group, keep in zip(side.groups, kept, strict=True) if keep] if side.groups else ()
    return Outcomes(side.classes[kept], side.wrong[kept], groups)


def _exact_p_value(new: Outcomes, earlier: Outcomes, labels: npt.NDArray[np.int64]) -> float:
    distribution, smallest = np.ones(1), 0  # of the number of errors among the new images, from `smallest` up
    for label in labels:
        fresh, old = (side.wrong[side.classes == label] for side in (new, earlier))
        errors, images = int(fresh.sum() + old.sum()), len(fresh) + len(old)
        low, high = max(0, errors - len(old)), min(errors, len(fresh))
        if low < high:
            distribution = np.convolve(distribution, _hypergeometric(low, high, images, errors, len(fresh)))
        smallest += low
    return float(min(1.0, distribution[int(new.wrong.sum()) - smallest :].sum()))


def _hypergeometric(low: int, high: int, images: int, errors: int, drawn: int) -> npt.NDArray[np.float64]:
    """Return the probabilities of `low` to `high` errors among `drawn` of all images; much faster than scipy.stats."""
    from scipy.special import gammaln

    number = np.arange(low, high + 1)

    def log_binomial(all_of: int, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        return gammaln(all_of + 1) - gammaln(chosen + 1) - gammaln(all_of - chosen + 1)

    ways = log_binomial(errors, number) + log_binomial(images - errors, drawn - number)
    return np.exp(ways - log_binomial(images, np.array(drawn)))


def _p_value_of_groups(new: Outcomes, earlier: Outcomes) -> float:
    """Return the share of permutations, of which groups are new, with at least as many errors above expectation.

    A group with images on both sides counts as two.
    """
    classes, wrong = (np.concatenate([getattr(side, name) for side in (new, earlier)]) for name in ("classes", "wrong"))
    rates = np.bincount(classes, weights=wrong) / np.maximum(np.bincount(classes), 1)
    names = [*_group_names(new, "new"), *_group_names(earlier, "earlier")]
    index_of = {name: index for index, name in enumerate(dict.fromkeys(names))}
    units = np.array([index_of[name] for name in names])
    excess = np.bincount(units, weights=wrong - rates[classes])
    is_new = np.zeros(len(excess))
    is_new[units[: len(new.classes)]] = 1.0
    observed, rng, as_large, done = excess @ is_new, np.random.default_rng(0), 0, 0
    while done < PERMUTATIONS and as_large < _ENOUGH:
        drawn = np.tile(is_new, (min(_BLOCK, PERMUTATIONS - done), 1))
        as_large += int(np.sum(rng.permuted(drawn, axis=1) @ excess >= observed - 1e-9))
        done += len(drawn)
    return (as_large + 1) / (done + 1)


def _group_names(side: Outcomes, name: str) -> list[tuple[str, str, int]]:
    groups = side.groups or ("",) * len(side.classes)
    return [(name, group, 0 if group else row) for row, group in enumerate(groups)]
