"""Thresholds: those of brute force over all cut points, and what they promise on new images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from transfercli.config.schema import ThresholdConfig
from transfercli.evaluation.confidence.thresholds import (
    Rule,
    checked_rule,
    choose_threshold,
    lower_bound,
    read_choice,
    rule_of,
)

RULES: list[Rule] = ["f1", {"recall": 0.8}, {"recall": 1.0}, {"precision": 0.6}, {"precision": 0.9}]


def quality(scores: np.ndarray, positive: np.ndarray, threshold: float) -> tuple[float, float, float]:
    answered = scores >= threshold
    right = (answered & positive).sum()
    recall, precision = right / positive.sum(), right / answered.sum() if answered.any() else 0.0
    return precision, recall, 2 * right / (answered.sum() + positive.sum())


def best_of_all(scores: np.ndarray, positive: np.ndarray, rule: Rule) -> tuple[float, float]:
    """Return the best value of a rule over thresholds at every score, and the value of the other metric there."""
    found = [quality(scores, positive, threshold) for threshold in np.unique(scores)]
    if rule == "f1":
        return max((f1, 0.0) for _, _, f1 in found)
    assert isinstance(rule, dict)
    if "recall" in rule:
        return max((precision, 0.0) for precision, recall, _ in found if recall >= rule["recall"] - 1e-12)
    reached = [recall for precision, recall, _ in found if precision >= rule["precision"] - 1e-12 and recall]
    return (max(reached), 0.0) if reached else max((precision, 0.0) for precision, _, _ in found)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("levels", [7, 100_000], ids=["ties", "no ties"])
def test_a_threshold_is_as_good_as_the_best_of_all_cut_points(rule: Rule, levels: int) -> None:
    rng = np.random.default_rng(levels)
    for images in (2, 5, 30, 200):
        for _ in range(15):
            scores = (rng.integers(0, levels, images) / levels).astype(np.float32).astype(np.float64)
            positive = rng.random(images) < 0.1 + 0.6 * scores
            positive[:2] = True, False
            choice = choose_threshold(scores, positive, rule)
            precision, recall, f1 = quality(scores, positive, choice.threshold)
            assert (choice.precision, choice.recall, choice.f1) == (precision, recall, f1)
            measured = {"f1": f1} if rule == "f1" else {"recall": precision, "precision": recall}
            value = measured["f1" if isinstance(rule, str) else next(iter(rule))]
            if choice.reason:
                value = precision
            assert value == pytest.approx(best_of_all(scores, positive, rule)[0])


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rounding_to_float32_changes_no_answer(rule: Rule) -> None:
    """Scores closer than float32 tells apart count as equal, and a threshold is between two scores."""
    rng = np.random.default_rng(1)
    scores = np.clip(0.5 + rng.normal(0, 1e-8, 100), 0, 1)
    scores[:50] = rng.random(50)
    positive = rng.random(100) < scores
    threshold = choose_threshold(scores, positive, rule).threshold
    as_float32 = scores.astype(np.float32).astype(np.float64)
    assert len(np.unique(as_float32)) < len(np.unique(scores))
    assert np.float32(threshold) == threshold
    precision, recall, _ = quality(as_float32, positive, threshold)
    choice = choose_threshold(as_float32, positive, rule)
    assert (choice.precision, choice.recall, choice.threshold) == (precision, recall, threshold)


def test_without_positives_or_negatives_the_threshold_is_one_half_and_says_why() -> None:
    scores = np.array([0.2, 0.9])
    for positive, reason in (([False, False], "no image with the label"), ([True, True], "no image without the label")):
        choice = choose_threshold(scores, np.array(positive), "f1")
        assert (choice.threshold, choice.reason, choice.f1) == (0.5, reason, None)
    nothing = choose_threshold(scores[:0], np.zeros(0, bool), {"recall": 0.9})
    assert (nothing.threshold, nothing.reason) == (0.5, "no image for which the label is known")


def test_a_precision_out_of_reach_gives_the_highest_one_and_says_so() -> None:
    scores, positive = np.array([0.9, 0.8, 0.7, 0.1]), np.array([False, True, True, False])
    choice = choose_threshold(scores, positive, {"precision": 0.9})
    assert choice.precision == pytest.approx(2 / 3)
    assert choice.threshold == pytest.approx(0.4)
    assert choice.reason == "no threshold reaches precision 0.9: the highest is 0.667"


def test_bounds_are_those_of_clopper_and_pearson_and_copies_count_once() -> None:
    right = np.array([True] * 9 + [False])
    assert lower_bound(right, np.arange(10)) == pytest.approx(beta.ppf(0.05, 9, 2))
    twice = np.repeat(right, 2)
    assert lower_bound(twice, np.repeat(np.arange(10), 2)) == pytest.approx(lower_bound(right, np.arange(10)))
    assert lower_bound(np.zeros(3, bool), np.arange(3)) == 0


def drawn(rng: np.random.Generator, images: int, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Return true probabilities and labels of images whose label shifts a normal score by 2."""
    positive = rng.random(images) < share
    positive[:2] = True, False
    logits = 2 * (rng.normal(size=images) + 2 * positive) - 2 + np.log(share / (1 - share))
    return 1 / (1 + np.exp(-logits)), positive


@pytest.mark.parametrize("rule", ["f1", {"precision": 0.8}], ids=str)
def test_new_images_keep_the_promise_in_most_draws(rule: Rule) -> None:
    """Bounds from the images that chose the threshold would be kept in fewer than 90% of draws."""
    rng = np.random.default_rng(0)
    new, label = drawn(rng, 50_000)
    kept = []
    for _ in range(120):
        choice = choose_threshold(*drawn(rng, 150), rule)
        precision, recall, _ = quality(new, label, choice.threshold)
        kept.append((precision >= (choice.promised_precision or 0), recall >= (choice.promised_recall or 0)))
    assert np.mean(kept, axis=0).min() >= 0.9


def test_the_expected_f1_chooses_better_thresholds_from_few_positives() -> None:
    rng = np.random.default_rng(0)
    new, label = drawn(rng, 20_000, 0.05)
    draws = [drawn(rng, 80, 0.05) for _ in range(60)]

    def mean_f1(rule: Rule) -> float:
        return float(np.mean([quality(new, label, choose_threshold(*one, rule).threshold)[2] for one in draws]))

    assert mean_f1("expected_f1") > mean_f1("f1") + 0.01


def test_rules_and_choices_come_back_from_json() -> None:
    assert rule_of(ThresholdConfig(recall=0.9)) == {"recall": 0.9}
    assert rule_of("f1") == "f1"
    assert rule_of(None) is None
    for rule in (*RULES, None):
        assert checked_rule(rule) == rule
    for damaged in ("f2", {"recall": "x"}, {"recall": 1, "precision": 1}, 3, []):
        with pytest.raises(ValueError, match="rule"):
            checked_rule(damaged)
    with pytest.raises(ValueError, match="threshold"):
        read_choice(
            dict.fromkeys(("precision", "recall", "f1", "promised_precision", "promised_recall"))
            | {"threshold": 2.0, "positives": 1, "negatives": 1}
        )
