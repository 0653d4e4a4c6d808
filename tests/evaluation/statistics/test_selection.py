"""The score of the best of many models: known truth, ties, missing classes, groups."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

from transfercli.evaluation.metrics.registry import METRICS as TABLE
from transfercli.evaluation.statistics.selection import LOSS, Answers, best_of, select

METRICS = ("val_accuracy", "val_macro_f1", "val_balanced_accuracy", LOSS)

CLASSES = 4


def simulated(seed: int, accuracies: np.ndarray, images: int, shared: float = 0.7) -> Answers:
    """Return answers of models with known accuracies, whose mistakes are on the same hard images in part."""
    rng = np.random.default_rng(seed)
    ability = np.array([NormalDist().inv_cdf(value) for value in accuracies])
    hardness = rng.standard_normal((images, 1)) * np.sqrt(shared)
    hardness = hardness + rng.standard_normal((images, len(accuracies))) * np.sqrt(1 - shared)
    right = hardness < ability
    targets = rng.integers(CLASSES, size=images)
    wrong = (targets[:, None] + rng.integers(1, CLASSES, size=right.shape)) % CLASSES
    losses = np.where(right, 0.2, 2.0)
    return Answers(targets, np.where(right, targets[:, None], wrong), losses, CLASSES)


@pytest.fixture(scope="module")
def small() -> Answers:
    return simulated(3, np.linspace(0.6, 0.9, 6), 50)


@pytest.mark.parametrize("metric", METRICS)
def test_the_best_of_equal_models_is_flattered_and_its_corrected_score_is_not(metric):
    naive, corrected = [], []
    for seed in range(60):
        result = select(simulated(seed, np.full(20, 0.8), 60), metric, seed, resamples=100)
        naive.append(result.naive), corrected.append(result.corrected)
    truth = 0.8 * 0.2 + 0.2 * 2.0 if metric == LOSS else 0.8
    unit = 1.8 if metric == LOSS else 1.0  # of a mistake
    sign = -1 if metric == LOSS else 1
    assert sign * (np.mean(naive) - truth) > 0.05 * unit
    # F1 of 15 images of a class is a little below that of many.
    assert abs(np.mean(corrected) - truth) < (0.02 if metric == "val_macro_f1" else 0.015) * unit


def test_the_interval_of_the_corrected_score_holds_the_truth():
    held = 0
    for seed in range(60):
        low, high = select(simulated(seed, np.full(20, 0.8), 60), "val_accuracy", seed, resamples=100).interval
        held += low <= 0.8 <= high
    assert held >= 54


def test_a_model_that_is_clearly_the_best_is_hardly_corrected_and_alone():
    answers = simulated(0, np.array([0.7, 0.7, 0.95, 0.7]), 1000)
    result = select(answers, "val_accuracy", 0)
    assert result.best == 2
    assert abs(result.bias) < 0.002
    assert result.plausible.tolist() == [False, False, True, False]
    assert result.within_one_error("val_accuracy").tolist() == [False, False, True, False]


def test_equal_models_are_not_distinguishable():
    excluded = [
        20 - select(simulated(seed, np.full(20, 0.8), 200), "val_accuracy", seed).plausible.sum() for seed in range(5)
    ]
    assert np.mean(excluded) / 20 < 0.15


@pytest.mark.parametrize("metric", METRICS)
def test_the_same_seed_gives_the_same_result(small, metric):
    first, again, other = (select(small, metric, seed) for seed in (5, 5, 6))
    assert (first.corrected, first.interval) == (again.corrected, again.interval)
    assert first.corrected != other.corrected


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_those_of_the_table_of_metrics_also_with_weights(small, metric):
    weights = np.random.default_rng(0).integers(0, 3, size=(50, 4)).astype(float)
    scores = small.scores(metric, weights)
    for column in range(4):
        repeated = np.repeat(np.arange(50), weights[:, column].astype(int))
        for model in range(small.models):
            if metric == LOSS:
                expected = small.losses[repeated, model].mean()
            else:
                one_hot = np.eye(CLASSES)[small.predicted[repeated, model]]
                expected = TABLE[metric.removeprefix("val_")].function(small.targets[repeated], one_hot)
            assert scores[column, model] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_the_pooled_score_of_one_model_is_its_score(small, metric):
    shares = np.zeros((50, small.models))
    shares[:, 4] = 1
    assert small.pooled_score(metric, shares) == pytest.approx(small.scores(metric, np.ones((50, 1)))[0, 4])


def test_equal_scores_are_decided_by_the_loss_and_then_by_the_order():
    scores, losses = np.array([[0.8, 0.9, 0.9, 0.9]]), np.array([[0.1, 0.5, 0.4, 0.4]])
    assert best_of(scores, losses, "val_accuracy").tolist() == [2]
    assert best_of(losses, losses, LOSS).tolist() == [0]


def test_identical_models_are_equal_and_the_first_wins():
    one = simulated(0, np.array([0.8]), 60)
    result = select(one.of(np.zeros(5, int)), "val_accuracy", 0)
    assert (result.best, result.plausible.all(), result.errors.max()) == (0, True, 0)
    assert result.corrected == pytest.approx(result.naive)


def test_one_model_has_no_correction_and_an_interval():
    result = select(simulated(0, np.array([0.8]), 60), "val_accuracy", 0)
    assert (result.corrected, result.bias) == (result.naive, 0)
    assert "one model" in result.reason
    assert result.interval[0] < result.naive < result.interval[1]


def test_models_without_a_mistake_have_an_interval_below_one():
    answers = simulated(0, np.array([0.8]), 60)
    perfect = Answers(answers.targets, answers.targets[:, None].repeat(3, axis=1), np.full((60, 3), 0.1), CLASSES)
    result = select(perfect, "val_macro_f1", 0)
    assert result.corrected == 1
    assert 0.9 < result.interval[0] < result.interval[1] == 1
    assert select(perfect, LOSS, 0).interval is None


@pytest.mark.parametrize("metric", ["val_macro_f1", "val_balanced_accuracy"])
def test_a_class_of_one_image_and_a_class_without_images_leave_no_gap(metric):
    answers = simulated(1, np.full(8, 0.7), 40)
    targets = answers.targets % 2
    targets[7] = 2
    result = select(Answers(targets, answers.predicted, answers.losses, CLASSES), metric, 0)
    assert np.isfinite([result.naive, result.corrected, *result.interval]).all()
    assert 0 < result.corrected <= result.naive


def test_images_of_a_group_are_drawn_together():
    answers = simulated(2, np.full(10, 0.8), 40)
    copies = np.arange(40).repeat(10)
    tenfold = Answers(
        answers.targets[copies], answers.predicted[copies], answers.losses[copies], CLASSES, of_image=copies
    )
    single, grouped = (select(each, "val_accuracy", 0) for each in (answers, tenfold))
    assert grouped.corrected == pytest.approx(single.corrected, abs=0.01)
    assert np.ptp(grouped.interval) >= np.ptp(single.interval)  # Student's quantile
    independent = Answers(tenfold.targets, tenfold.predicted, tenfold.losses, CLASSES)
    assert np.ptp(select(independent, "val_accuracy", 0).interval) < 0.5 * np.ptp(grouped.interval)


def test_a_single_group_gives_neither_a_correction_nor_an_interval(small):
    group = Answers(small.targets, small.predicted, small.losses, CLASSES, of_image=np.zeros(50, int))
    result = select(group, "val_accuracy", 0)
    assert "too few independent images" in result.reason
    assert result.interval is None
    assert result.corrected == result.naive
