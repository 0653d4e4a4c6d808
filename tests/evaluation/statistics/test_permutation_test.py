"""Swapping two models' answers at random: what chance alone gains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.permutation_test import permutation_p_value
from transfercli.evaluation.statistics.promotion import compare_for_promotion, decide_promotion

IMBALANCED = np.repeat(np.arange(5), (40, 8, 6, 4, 2))


def answered(targets: np.ndarray, right: np.ndarray, sure: np.ndarray | float = 0.6) -> Predictions:
    """The true class where `right`, the next one elsewhere, with probability `sure`."""
    classes = int(targets.max()) + 1
    said = np.where(right, targets, (targets + 1) % classes)
    rest = (1 - np.broadcast_to(sure, len(targets))) / (classes - 1)
    probabilities = np.repeat(rest[:, None], classes, axis=1)
    probabilities[np.arange(len(targets)), said] = sure
    return Predictions(tuple(map(str, range(len(targets)))), tuple("abcdefghij"[:classes]), targets, probabilities)


def alike(targets: np.ndarray, seed: int, changed: float) -> tuple[Predictions, Predictions]:
    """Two models that differ in a share `changed` of the images, either of them right as often."""
    draw = np.random.default_rng(seed).random(len(targets))
    one, other = draw < changed / 2, (draw >= changed / 2) & (draw < changed)
    return answered(targets, ~one), answered(targets, ~other)


@pytest.mark.parametrize("fixed, broken", [(3, 0), (5, 0), (6, 2), (2, 6)])
def test_for_accuracy_it_is_mcnemars_test_with_half_of_the_ties(fixed: int, broken: int) -> None:
    targets = np.arange(60) % 3
    old = answered(targets, np.arange(60) >= fixed)
    new = answered(targets, (np.arange(60) < fixed) | (np.arange(60) >= fixed + broken))
    exact = binom.sf(fixed, fixed + broken, 0.5) + binom.pmf(fixed, fixed + broken, 0.5) / 2
    assert permutation_p_value(old, new, "accuracy", 0) == pytest.approx(exact, abs=0.03)
    assert permutation_p_value(new, old, "accuracy", 0) == pytest.approx(1 - exact, abs=0.03)


def test_where_less_is_better_less_is_a_gain() -> None:
    targets = np.arange(60) % 3
    unsure, sure = (answered(targets, targets >= 0, p) for p in (0.5, 0.9))
    assert permutation_p_value(unsure, sure, "log_loss", 0) < 0.01
    assert permutation_p_value(sure, unsure, "log_loss", 0) > 0.99


def test_models_that_answer_alike_differ_by_chance_alone() -> None:
    one = answered(IMBALANCED, IMBALANCED < 3)
    assert permutation_p_value(one, one, "macro_f1", 0) == 0.5


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "macro_recall"])
def test_of_400_pairs_that_are_alike_one_in_twenty_looks_better(metric: str) -> None:
    found = [permutation_p_value(*alike(IMBALANCED, seed, 0.2), metric, seed) for seed in range(400)]
    assert sum(chance <= 0.05 for chance in found) <= 29  # 20 are expected; more than 29 in one of fifty such tests
    assert sum(chance >= 0.95 for chance in found) <= 29


@pytest.mark.slow
@pytest.mark.parametrize("targets", [np.arange(60) % 10, np.arange(20) % 10, IMBALANCED])
def test_of_400_challengers_that_are_alike_few_are_promoted_and_few_rejected_on_small_test_sets(
    targets: np.ndarray,
) -> None:
    words = [
        decide_promotion(compare_for_promotion(*alike(targets, seed, 0.4), "macro_f1", 0.95, seed), [], 0.0).decision
        for seed in range(400)
    ]
    assert max(words.count(word) for word in ("promoted", "rejected")) <= 29
