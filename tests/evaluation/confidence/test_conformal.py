"""Conformal sets of labels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from transfercli.errors import UsageError
from transfercli.evaluation.confidence.conformal import (
    KEPT,
    ConformalScores,
    conformal_metrics,
    conformal_scores,
    fewest_images,
    prediction_sets,
)
from transfercli.evaluation.predictions import Predictions


def _images(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a model for four classes that is over-confident, and worse at the last class; and targets."""
    targets = rng.integers(4, size=count)
    strength = np.where(targets == 3, 0.5, 2.0)[:, None]
    logits = 2 * (strength * np.eye(4)[targets] + rng.normal(size=(count, 4)))
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), targets


@pytest.mark.parametrize("images", [20, 90, 400])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_sets_hold_the_truth_as_often_as_asked_and_are_not_larger_than_that_needs(images: int, level: float) -> None:
    rng = np.random.default_rng(0)
    new, targets = _images(rng, 2000)
    covered = []
    for _ in range(150):
        sets = prediction_sets(new, conformal_scores(*_images(rng, images)).thresholds(level))
        covered.append(sets[np.arange(2000), targets].mean())
    error = np.std(covered) / np.sqrt(150)
    top = (new.argmax(axis=1) == targets).mean()  # the most probable label is in every set
    assert level - 2 * error <= np.mean(covered) <= max(level, top) + 1 / images + 0.05


def test_a_class_with_fifty_images_has_a_threshold_of_its_own() -> None:
    rng = np.random.default_rng(0)
    probabilities, targets = _images(rng, 1000)
    scores = conformal_scores(probabilities, targets)
    thresholds = scores.thresholds(0.9)
    assert thresholds[3] < thresholds[:3].min()
    new, truth = _images(rng, 20_000)
    held = prediction_sets(new, thresholds)[np.arange(20_000), truth]
    assert all(held[truth == index].mean() > 0.86 for index in range(4))
    pooled = np.full(4, scores.pooled.threshold(0.9))
    assert prediction_sets(new, pooled)[np.arange(20_000), truth][truth == 3].mean() < 0.75
    few = conformal_scores(probabilities[:150], targets[:150])
    assert few.classes == (None,) * 4
    assert len(set(few.thresholds(0.9))) == 1


def test_so_few_images_cannot_serve_a_level_and_say_which_they_can() -> None:
    scores = conformal_scores(*_images(np.random.default_rng(0), 18))
    assert scores.thresholds(0.94).shape == (4,)
    with pytest.raises(UsageError, match="at least 19 images held out from training; this model has 18") as refused:
        scores.thresholds(0.95)
    assert "at most 0.947" in str(refused.value.hint)
    assert [fewest_images(level) for level in (0.5, 0.9, 0.95, 0.99, 0.9999)] == [1, 9, 19, 99, 9999]


def test_images_of_one_subject_count_once() -> None:
    probabilities, targets = _images(np.random.default_rng(0), 30)
    repeated = conformal_scores(
        np.repeat(probabilities, 10, 0), np.repeat(targets, 10), np.repeat(np.arange(30), 10).astype(str).tolist()
    )
    assert repeated == conformal_scores(probabilities, targets)


def test_scores_are_few_stay_the_same_as_json_and_are_never_bolder_than_all_of_them() -> None:
    rng = np.random.default_rng(0)
    probabilities, targets = _images(rng, 5000)
    scores = conformal_scores(probabilities, targets)
    assert len(scores.pooled.scores) <= KEPT
    assert ConformalScores.from_json(json.loads(json.dumps(scores.as_json()))) == scores
    own = np.sort(probabilities[np.arange(5000), targets])
    for level in (0.3, 0.8, 0.9, 0.99, 0.999):
        exact = own[int((5001) * (1 - level) + 1e-9) - 1]
        threshold = scores.pooled.threshold(level)
        assert threshold is not None
        assert 0.8 * exact - 0.01 < threshold <= exact


def test_an_evaluation_has_the_coverage_and_the_size_of_the_sets_of_each_level(predictions: Predictions) -> None:
    probabilities, targets = predictions.probabilities, predictions.targets
    found = conformal_metrics(probabilities[300:], targets[300:], conformal_scores(probabilities[:90], targets[:90]))
    assert (found["validation_images"], found["classes_with_own_threshold"]) == (90, 0)
    assert found["levels"][2] == {"level": 0.99, "coverage": None, "interval": None, "mean_size": None}
    found = conformal_metrics(probabilities[300:], targets[300:], conformal_scores(probabilities[:300], targets[:300]))
    assert [row["level"] for row in found["levels"]] == [0.9, 0.95, 0.99]
    sizes = [row["mean_size"] for row in found["levels"]]
    assert 1 <= sizes[0] <= sizes[1] <= sizes[2]


@pytest.mark.parametrize(
    "damage",
    [
        {"pooled": {"images": 3, "ranks": [2], "scores": [0.5]}},
        {"pooled": {"images": 3, "ranks": [1], "scores": [1.5]}},
        {"pooled": {"images": 3, "ranks": [1, 4], "scores": [0.1, 0.2]}},
        {"pooled": None},
        {"classes": [{}]},
    ],
)
def test_damaged_scores_are_refused(damage: dict) -> None:
    whole = {"pooled": {"images": 3, "ranks": [1, 2], "scores": [0.1, 0.2]}, "classes": [None, None]}
    assert ConformalScores.from_json(whole).pooled.images == 3
    with pytest.raises((ValueError, TypeError, KeyError)):
        ConformalScores.from_json(whole | damage)
