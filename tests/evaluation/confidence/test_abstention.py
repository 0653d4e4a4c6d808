"""Confidence thresholds that keep their promise."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import AbstainConfig
from transfercli.evaluation.confidence.abstention import (
    fewest_images,
    possible_accuracy,
    threshold_for_accuracy,
    threshold_for_coverage,
)
from transfercli.evaluation.confidence.selective import CoverageCurve, coverage_curve
from transfercli.evaluation.confidence.trust import fit_trust

DRAWS = 200


def _draws(images: int, draws: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences [draws, images] of an exactly calibrated model, 1 - u^2 / 2 for even u, and the right answers."""
    rng = np.random.default_rng(seed)
    confidence = 1 - rng.random((draws, images)) ** 2 / 2
    return confidence, rng.random((draws, images)) < confidence


def _coverage_above(threshold: float | None) -> float:
    return 0.0 if threshold is None else float(np.sqrt(2 * (1 - max(threshold, 0.5))))


def _accuracy_of(coverage: float) -> float:
    return 1 - coverage**2 / 6


def _perfect(images: int) -> CoverageCurve:
    return coverage_curve(np.linspace(1, 0.5, images), np.ones(images, bool))


@pytest.mark.parametrize("images, target, least", [(200, 0.85, 0.7), (200, 0.9, 0.5), (1000, 0.95, 0.7)])
def test_of_a_calibrated_model_an_accuracy_is_kept_in_95_of_100_draws(images: int, target: float, least: float) -> None:
    thresholds = [
        threshold_for_accuracy(coverage_curve(c, r), target) for c, r in zip(*_draws(images, DRAWS), strict=True)
    ]
    answered = np.array([_coverage_above(threshold) for threshold in thresholds])
    assert (_accuracy_of(answered) < target).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / DRAWS)
    assert answered.mean() > least * min(1, np.sqrt(6 * (1 - target)))  # of what a perfect choice answers


@pytest.mark.parametrize("images, target", [(50, 0.9), (200, 0.5)])
def test_a_coverage_is_kept_in_95_of_100_draws_and_not_much_exceeded(images: int, target: float) -> None:
    rng = np.random.default_rng(0)
    curves = [coverage_curve(rng.random(images), np.ones(images, bool)) for _ in range(600)]
    coverages = np.array([1 - threshold_for_coverage(curve, target) for curve in curves])
    assert (coverages < target - 1e-9).mean() <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)
    assert coverages.mean() < target + 0.1


def test_no_image_may_be_left_out_if_so_few_cannot_promise_a_coverage() -> None:
    assert threshold_for_coverage(_perfect(20), 0.9) == 0  # 0.9**20 is 0.12
    assert threshold_for_coverage(_perfect(100), 1.0) == 0


def test_an_accuracy_needs_as_many_answers_without_a_mistake_as_prove_it() -> None:
    assert [fewest_images(target) for target in (0.9, 0.95, 0.99)] == [29, 59, 299]
    assert threshold_for_accuracy(_perfect(298), 0.99) is None
    assert threshold_for_accuracy(_perfect(299), 0.99) == 0
    assert possible_accuracy(_perfect(298), 0.99) == pytest.approx(0.985)
    assert threshold_for_accuracy(_perfect(10_000), 1.0) is None
    assert possible_accuracy(_perfect(90), 1.0) == pytest.approx(0.965)
    assert possible_accuracy(coverage_curve(np.linspace(1, 0.5, 90), np.zeros(90, bool)), 0.99) is None


def test_a_mislabelled_image_among_the_most_confident_does_not_end_the_search() -> None:
    right = np.r_[np.ones(10, bool), False, np.ones(589, bool), np.zeros(400, bool)]
    threshold = threshold_for_accuracy(coverage_curve(np.linspace(1, 0.5, 1000), right), 0.95)
    assert threshold is not None
    assert threshold == pytest.approx(1 - 0.5 * 0.58, abs=0.03)


def test_the_answer_does_not_depend_on_the_order_of_equally_sure_images() -> None:
    confidence = np.repeat([0.9, 0.6], [300, 100])
    right = np.r_[np.ones(280, bool), np.zeros(20, bool), np.ones(50, bool), np.zeros(50, bool)]
    shuffled = np.random.default_rng(0).permutation(400)
    one, other = (threshold_for_accuracy(coverage_curve(confidence[i], right[i]), 0.9) for i in (slice(None), shuffled))
    assert one == other == pytest.approx(0.75)


def test_ten_images_of_each_subject_promise_no_more_than_one() -> None:
    logits = np.tile([[6.0, 0.0]], (400, 1)) + np.linspace(0, 1, 400)[:, None] * [1, 0]
    targets, subjects = np.zeros(400, int), [f"subject{image // 10}" for image in range(400)]
    alone = fit_trust(logits, targets, AbstainConfig(accuracy=0.99))
    grouped = fit_trust(logits, targets, AbstainConfig(accuracy=0.99), subjects)
    assert (alone.confidence, grouped.confidence) == (0, None)
    assert grouped.possible == pytest.approx(0.925)  # 40 subjects: 0.05**(1/40) is 0.928
