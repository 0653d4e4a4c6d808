from dataclasses import replace

import numpy as np
import pytest

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.alpha_spending import NightLimit
from transfercli.evaluation.statistics.paired import Comparison, Difference
from transfercli.evaluation.statistics.promotion import compare_for_promotion, comparison_record, decide_promotion

CLASSES = 4


def compared(low, gain, high):
    found = Difference(0.8, 0.8 + gain, gain, (low, high), 0.12)
    return Comparison("accuracy", 0.9, 60, {"accuracy": found, "recall[cat]": found}, 0.5, ("a", "b"), ("c",), None)


def predictions(targets, right):
    """The true class where `right`, the next one elsewhere."""
    said = np.where(right, targets, (targets + 1) % CLASSES)
    probabilities = np.full((len(targets), CLASSES), 0.1)
    probabilities[np.arange(len(targets)), said] = 0.7
    return Predictions(tuple(map(str, range(len(targets)))), tuple("abcd"), targets, probabilities)


@pytest.mark.parametrize(
    "low, gain, high, min_gain, decision",
    [
        (0.01, 0.05, 0.09, 0.0, "promoted"),
        (0.01, 0.05, 0.09, 0.05, "promoted"),
        (0.01, 0.05, 0.09, 0.06, "kept"),
        (0.0, 0.05, 0.10, 0.0, "kept"),
        (-0.02, 0.0, 0.02, 0.0, "kept"),
        (-0.10, -0.05, 0.0, 0.0, "kept"),
        (-0.10, -0.05, -0.01, 0.0, "rejected"),
    ],
)
def test_a_gain_must_be_sure_and_large_enough_and_a_loss_sure(low, gain, high, min_gain, decision):
    assert decide_promotion(compared(low, gain, high), [], min_gain).decision == decision


@pytest.mark.parametrize(
    "champion_right, challenger_right, decision",
    [
        ((0, 1, 2, 3), (0, 1), "rejected"),
        ((0, 1), (0, 1, 2, 3), "promoted"),
        ((0, 1), (0, 1), "kept"),
        ((0, 1), (2, 3), "kept"),
        ((), (0, 1, 2, 3), "promoted"),
    ],
)
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_models_that_differ_on_whole_classes_are_told_apart(champion_right, challenger_right, decision, metric):
    targets = np.repeat(np.arange(CLASSES), 6)
    models = (predictions(targets, np.isin(targets, right)) for right in (champion_right, challenger_right))
    result = compare_for_promotion(*models, metric, 0.95, seed=0)
    verdict = decide_promotion(result, [], 0.0)
    assert verdict.decision == decision
    assert ("the same in every resample" in verdict.reason) == (decision != "kept")


def test_two_images_are_too_few_to_tell_models_apart_even_if_every_resample_agrees():
    targets = np.array([0, 1, 2, 3])
    models = (predictions(targets, np.isin(targets, right)) for right in ((0, 1), (0, 1, 2, 3)))
    assert decide_promotion(compare_for_promotion(*models, "accuracy", 0.95, seed=0), [], 0.0).decision == "kept"


@pytest.mark.parametrize("fixed, decision, p_value", [(4, "kept", "0.062"), (5, "promoted", "0.031")])
def test_a_gain_on_one_whole_class_needs_a_significant_exact_test(fixed, decision, p_value):
    targets = np.repeat([0, 1], fixed)
    old, new = predictions(targets, targets == 0), predictions(targets, targets >= 0)
    verdict = decide_promotion(compare_for_promotion(old, new, "accuracy", 0.95, seed=0), [], 0.0)
    assert (verdict.decision, f"p-value {p_value}" in verdict.reason) == (decision, True)
    loss = decide_promotion(compare_for_promotion(new, old, "accuracy", 0.95, seed=0), [], 0.0)
    assert (loss.decision == "rejected", f"p-value {p_value}" in loss.reason) == (decision == "promoted", True)


@pytest.mark.parametrize(
    "low, high, by_chance, decision",
    [
        (0.01, 0.09, 0.05, "promoted"),
        (0.01, 0.09, 0.06, "kept"),
        (-0.09, -0.01, 0.95, "rejected"),
        (-0.09, -0.01, 0.94, "kept"),
    ],
)
def test_what_the_interval_says_must_be_rare_by_chance_too(low, high, by_chance, decision):
    verdict = decide_promotion(replace(compared(low, (low + high) / 2, high), by_chance=by_chance), [], 0.0)
    assert verdict.decision == decision
    assert (decision != "kept") or "6.0% of random swaps" in verdict.reason


def test_where_less_is_better_a_fall_is_a_gain():
    found = Difference(0.5, 0.4, -0.1, (-0.15, -0.05), 0.12)
    fallen = replace(compared(0, 0, 0), metric="log_loss", metrics={"log_loss": found})
    assert decide_promotion(fallen, [], 0.0).decision == "promoted"
    assert comparison_record(fallen)["gain"] == 0.1


def test_without_a_champion_the_first_that_meets_its_gates_is_one():
    assert decide_promotion(None, [], 0.0).decision == "first"


@pytest.mark.parametrize("against", [None, compared(0.01, 0.05, 0.09)])
def test_a_gate_that_is_not_met_rejects_whatever_was_gained(against):
    verdict = decide_promotion(against, ["accuracy is 0.85, required >= 0.9"], 0.0)
    assert verdict.decision == "rejected"
    assert "accuracy is 0.85" in verdict.reason


def test_no_gain_says_what_gain_these_images_could_have_shown():
    assert "0.1200" in decide_promotion(compared(-0.02, 0.0, 0.02), [], 0.0).reason


def test_a_metric_that_is_not_defined_decides_nothing():
    unknown = replace(compared(0, 0, 0), metrics={"accuracy": Difference(None, None, None, None, None)})
    assert decide_promotion(unknown, [], 0.0).decision == "kept"


def test_the_same_answers_are_kept_whatever_they_are():
    targets = np.arange(40) % CLASSES
    one = predictions(targets, targets < 2)
    found = compare_for_promotion(one, one, "accuracy", 0.95, 0)
    assert decide_promotion(found, [], 0.0).decision == "kept"
    assert comparison_record(found)["gain"] == 0


def test_what_is_told_has_each_class_and_the_images_that_tell_the_two_apart():
    told = comparison_record(compared(0.01, 0.05, 0.09))
    assert (told["fixed"], told["broken"], told["images"]) == (2, 1, 60)
    assert told["per_class"] == [{"label": "cat", "champion": 0.8, "challenger": pytest.approx(0.85)}]


def decisions(gain, seeds, images=200, accuracy=0.8, changed=0.16):
    """What is decided about challengers that answer `changed` of the images in another way, truly better by `gain`."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        targets = rng.integers(CLASSES, size=images)
        draw = rng.random(images)
        # Of all images: those only the challenger has right, those only the champion has, and those that both have.
        fixed, broken = (changed + gain) / 2, (changed - gain) / 2
        only_challenger, only_champion = draw < fixed, (draw >= fixed) & (draw < fixed + broken)
        both = draw >= 1 - (accuracy - broken)
        one, other = (predictions(targets, only | both) for only in (only_champion, only_challenger))
        found.append(decide_promotion(compare_for_promotion(one, other, "accuracy", 0.95, seed), [], 0.0).decision)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("images, changed", [(200, 0.16), (200, 0.04), (60, 0.1)])
def test_of_200_challengers_that_are_no_better_at_most_16_are_promoted(images, changed):
    assert decisions(0.0, range(200), images, changed=changed).count("promoted") <= 16


@pytest.mark.slow
def test_of_200_challengers_that_are_10_points_better_at_least_190_are_promoted():
    assert decisions(0.1, range(200)).count("promoted") >= 190


@pytest.mark.slow
def test_a_gain_of_3_points_shows_at_60_images_about_one_time_in_five():
    promoted = decisions(0.03, range(200), images=60, changed=0.1).count("promoted")
    assert 10 <= promoted <= 60


def test_a_gain_of_one_night_must_be_below_the_nights_level_too():
    gained = compared(0.01, 0.05, 0.09)
    limit = NightLimit(0.95, level=0.004, asked=12, spent=0.03, images=60)
    kept = decide_promotion(gained, [], 0.0, limit, p_value=0.005)
    assert kept.decision == "kept"
    assert "not significant over all nights" in kept.reason
    assert "its p-value 0.005 is above 0.004" in kept.reason
    assert "share (32% is left; the images have decided 12 comparisons)" in kept.reason
    assert decide_promotion(gained, [], 0.0, limit, p_value=0.004).decision == "promoted"


def test_a_loss_of_one_night_rejects_whatever_is_left():
    limit = NightLimit(0.95, level=0.0, asked=12, spent=0.05, images=60)
    assert decide_promotion(compared(-0.1, -0.05, -0.01), [], 0.0, limit, p_value=1.0).decision == "rejected"
