"""Levels of the nights that share the same test images."""

import numpy as np
import pytest
from scipy.stats import norm

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics import alpha_spending as module
from transfercli.evaluation.statistics.alpha_spending import (
    Evidence,
    NightLimit,
    comparisons_text,
    evidence_of,
    images_to_promote,
    images_to_renew,
    night_level,
    swaps_for,
)

BUDGET = 0.05


@pytest.mark.parametrize("validation, share", [(40, 0.01), (400, 0.0085), (2000, 0.0039)])
def test_a_night_without_a_better_challenger_spends_at_most_one_percent_of_the_budget_on_average(validation, share):
    p_values = (np.arange(100_000) + 0.5) / 100_000
    levels = night_level(np.full(len(p_values), BUDGET), 400, validation, p_values, 0.05)
    assert levels.mean() == pytest.approx(share * BUDGET, rel=0.02)  # less, as a level is at most half of what is left


def test_without_validation_images_a_night_spends_one_percent_of_what_is_left():
    assert night_level(BUDGET, 400, 0, 0.5, 0.05) == pytest.approx(0.01 * BUDGET)
    assert night_level(BUDGET / 2, 400, 0, 0.5, 0.05) == pytest.approx(0.01 * BUDGET / 2)


def test_the_level_is_that_of_a_pooled_test_of_both_sets_of_images():
    score, needed = 2.0, norm.isf(0.01 * BUDGET)
    level = night_level(BUDGET, 300, 100, norm.sf(score), 0.05)
    assert score * np.sqrt(100) + norm.isf(level) * np.sqrt(300) == pytest.approx(needed * np.sqrt(400))


@pytest.mark.parametrize("p_value", [0.0, 1e-9, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("nights", [365, 5000])
def test_all_nights_together_never_spend_more_than_the_budget_whatever_the_validation_images_say(p_value, nights):
    left = BUDGET
    for _ in range(nights):
        level = float(night_level(left, 100, 100, p_value, 0.05))
        assert 0 <= level <= 0.05
        left -= level
    assert left >= 0


def test_better_on_validation_images_may_spend_more_but_at_most_half_of_what_is_left_and_a_single_nights_level():
    levels = night_level(np.full(4, BUDGET), 400, 400, np.array([0.9, 0.5, 0.01, 1e-12]), 0.05)
    assert (np.diff(levels) >= 0).all()
    assert levels[0] == pytest.approx(0.001 * BUDGET)
    assert levels[-1] == pytest.approx(BUDGET / 2)
    assert night_level(BUDGET, 400, 400, 1e-12, 0.01) == 0.01
    assert night_level(-0.01, 400, 400, 0.01, 0.05) == 0.0  # a larger confidence in the config than before


def test_the_images_that_a_promotion_needs_have_a_p_value_at_the_level():
    for level in (0.05, 0.03125, 1e-4):
        count = images_to_promote(level)
        assert 0.5**count <= level < 0.5 ** (count - 1)


@pytest.mark.parametrize(
    "asked, text",
    [(1.0, "1 comparison"), (1.02, "1 comparison"), (1.8, "about 2 comparisons"), (2.54, "about 3 comparisons")],
)
def test_a_mean_number_of_comparisons_is_whole_in_words(asked, text):
    assert comparisons_text(asked) == comparisons_text(round(asked, 1)) == text


def test_new_images_that_renew_half_of_the_budget():
    assert images_to_renew(spent=BUDGET, images=100, budget=BUDGET) == 100  # the mean of 100 spent and 100 new is half
    assert images_to_renew(spent=BUDGET / 2, images=100, budget=BUDGET) == 0
    assert images_to_renew(spent=0.0, images=100, budget=BUDGET) == 0


def test_a_promotion_spends_nothing_and_the_record_says_what_is_left():
    limit = NightLimit(0.95, 0.01, 3.04, 0.02, 400, Evidence(100, 0.2))
    assert limit.record(0.03, promoted=False) == {
        "confidence": 0.95,
        "asked": 3.0,
        "p_value": 0.03,
        "alpha": 0.01,
        "spent": 0.03,
        "left": pytest.approx(0.02),
        "validation": {"images": 100, "p_value": 0.2},
    }
    assert limit.record(0.001, promoted=True)["left"] == pytest.approx(0.03)


def test_evidence_is_a_mid_p_value_on_images_or_groups():
    targets = np.zeros(40, np.int64)

    def predictions(right, groups=()):
        probabilities = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
        return Predictions(tuple(map(str, range(40))), ("a", "b"), targets, probabilities, groups)

    champion, challenger = np.arange(40) >= 8, np.arange(40) >= 0
    same = evidence_of(predictions(champion), predictions(champion), "accuracy", 0)
    assert same == Evidence()  # images on which the models agree say nothing
    better = evidence_of(predictions(champion), predictions(challenger), "accuracy", 0)
    assert better.p_value == pytest.approx(0.5**8 / 2)
    groups = tuple(f"g{index // 4}" for index in range(40))
    grouped = evidence_of(predictions(champion, groups), predictions(challenger, groups), "accuracy", 0)
    assert (grouped.units, grouped.p_value) == (10, pytest.approx(0.5**2 / 2))


def test_as_many_swaps_are_drawn_as_the_level_needs():
    assert [swaps_for(level) for level in (0.0, 0.025, 5e-4, 1e-9)] == [999, 999, 40_000, 99_999]


def test_the_shares_are_in_order():
    assert module.SMALLEST_SHARE < module.SHARE < module.LARGEST_SHARE < 1
