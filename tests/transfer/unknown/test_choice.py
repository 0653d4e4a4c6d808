"""The out-of-distribution score is fitted to known images, and chosen on classes that are left out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from transfercli.transfer.unknown.choice import auroc, choose_score, separations
from transfercli.transfer.unknown.fit import DEFAULT, SCORES, Known, familiar_limit, stratified_sample


def images(count: int, classes: int, seed: int) -> Known:
    """Known images whose classes are directions of 20 channels; their energy says nothing."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, count)
    features = np.maximum(rng.normal(0, 0.3, (count, 20)) + 2 * np.eye(20)[targets], 0).astype(np.float32)
    return Known(features, rng.normal(size=count), targets)


def test_images_of_no_class_are_found_and_few_known_ones_are_strange() -> None:
    score = choose_score(images(300, 5, 0), images(200, 5, 1), seed=0)
    known, rng = images(400, 5, 2), np.random.default_rng(3)
    unknown = np.maximum(rng.normal(0, 0.3, (400, 20)) + 2 * np.eye(20)[rng.integers(5, 20, 400)], 0)
    own, others = score.scores(known.features, known.energy), score.scores(unknown, rng.normal(size=400))
    assert auroc(own, others) > 0.99
    assert (own > score.threshold).mean() < 0.08
    assert score.name != "energy"
    assert set(score.separation) == set(SCORES)
    assert score.separation[score.name] > 0.95


def test_the_same_images_give_the_same_score() -> None:
    first, second = (choose_score(images(100, 4, 0), images(80, 4, 1), seed=7) for _ in range(2))
    assert (first.name, first.threshold, first.separation) == (second.name, second.threshold, second.separation)


@pytest.mark.parametrize("classes, count", [(2, 100), (5, 12)])
def test_without_a_class_to_leave_out_the_score_is_the_default(classes: int, count: int) -> None:
    training, validation = images(100, classes, 0), images(count, classes, 1)
    assert separations(training, validation, 0) == {}
    score = choose_score(training, validation, 0)
    assert (score.name, score.separation) == (DEFAULT, {})
    assert np.isfinite(score.threshold)


def test_images_that_are_all_the_same_give_finite_numbers() -> None:
    same = Known(np.zeros((30, 12), np.float32), np.zeros(30), np.arange(30) % 3)
    score = choose_score(same, same, 0)
    assert np.isfinite(score.scores(same.features, same.energy)).all()
    assert np.isfinite(score.threshold)


def test_validation_images_that_are_copies_of_training_images_give_no_part_all_the_weight() -> None:
    training = images(120, 3, 0)
    score = choose_score(training, training, 0)
    assert max(abs(weight) for weight in score.weights.values()) < 1e3


def test_five_percent_of_new_known_images_are_above_the_limit() -> None:
    rng = np.random.default_rng(0)
    above = [(rng.normal(size=1000) > familiar_limit(rng.normal(size=60))).mean() for _ in range(200)]
    assert 0.03 < np.mean(above) <= 0.051
    assert familiar_limit(np.arange(10.0)) > 9  # ten images cannot promise it, so the largest value counts


def test_a_group_of_images_counts_as_one() -> None:
    values = np.r_[np.zeros(100), np.full(900, 5.0)]
    groups = [f"group {number}" for number in range(100)] + ["one"] * 900
    assert familiar_limit(values) >= 5
    assert familiar_limit(values, groups) < 5


def test_auroc_is_that_of_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    known, unknown = rng.integers(0, 5, 50).astype(float), rng.integers(2, 8, 40).astype(float)
    expected = roc_auc_score(np.repeat([0, 1], [50, 40]), np.r_[known, unknown])
    assert auroc(known, unknown) == pytest.approx(expected)


def test_a_sample_has_every_class() -> None:
    targets = np.array([0] * 90 + [1] * 4 + [2] * 6)
    chosen = stratified_sample(targets, 15, 0)
    assert sorted(np.bincount(targets[chosen])) == [4, 5, 6]
    assert (chosen == stratified_sample(targets, 15, 0)).all()


def scenes(count: int, seed: int) -> Known:
    """Known images of two or three of five labels, whose directions are added; some labels are unknown."""
    rng = np.random.default_rng(seed)
    targets = np.zeros((count, 5), np.int32)
    for row in targets:
        row[rng.choice(5, rng.integers(2, 4), replace=False)] = 1
    features = np.maximum(rng.normal(0, 0.3, (count, 20)) + 2 * (targets @ np.eye(5, 20)), 0).astype(np.float32)
    return Known(features, rng.normal(size=count), np.where(rng.random(targets.shape) < 0.1, -1, targets))


def test_images_of_no_label_are_found_among_images_of_several() -> None:
    score = choose_score(scenes(300, 0), scenes(200, 1), seed=0)
    known, rng = scenes(400, 2), np.random.default_rng(3)
    unknown = np.maximum(rng.normal(0, 0.3, (400, 20)) + 2 * np.eye(20)[rng.integers(5, 20, 400)], 0)
    own, others = score.scores(known.features, known.energy), score.scores(unknown, rng.normal(size=400))
    assert auroc(own, others) > 0.95
    assert (own > score.threshold).mean() < 0.08
    assert score.name == DEFAULT
    assert set(score.separation) == set(SCORES)


def test_a_sample_of_images_with_several_labels_has_the_rare_ones() -> None:
    targets = np.zeros((200, 2), np.int32)
    targets[:, 0], targets[[3, 70, 150], 1] = 1, 1
    assert {3, 70, 150} <= set(stratified_sample(targets, 20, 0))
