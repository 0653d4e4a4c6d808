"""Single estimates of the accuracy, against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from tests.evaluation.monitoring.digit_answers import HELD_OUT, RECENT, answers, changed, held_out, labelled, pixels
from transfercli.evaluation.metrics.confusion import Counts
from transfercli.evaluation.monitoring.answered_images import AnsweredImages, LabelledAnswers, from_log_odds, log_odds
from transfercli.evaluation.monitoring.confidence_estimates import (
    PRIOR,
    CertaintyMap,
    average_confidence,
    calibrated_confidence,
    difference_of_confidences,
    thresholded_confidence,
)
from transfercli.evaluation.monitoring.expected_metrics import (
    class_probabilities,
    drawn_counts,
    expected_counts,
    metric_names,
    metric_values,
    moved_to,
)
from transfercli.evaluation.monitoring.importance_weights import Weights, class_shares, class_weights, feature_weights


def test_the_certainty_map_is_the_penalised_maximum_of_the_likelihood() -> None:
    inputs, right = log_odds(held_out().answers.certainty[:, 0]), held_out().right[:, 0]

    def loss(parameters: np.ndarray) -> float:
        fitted = from_log_odds(parameters[0] * inputs + parameters[1])
        likelihood = np.where(right, np.log(fitted), np.log1p(-fitted)).sum()
        return -likelihood + PRIOR / 2 * ((parameters[0] - 1) ** 2 + parameters[1] ** 2)

    found, best = CertaintyMap.fit(held_out()), minimize(loss, [1.0, 0.0]).x
    assert (found.slope, found.offset) == pytest.approx(tuple(best), abs=1e-3)


def test_the_certainty_map_does_not_diverge_if_certainties_are_far_from_calibrated() -> None:
    rng = np.random.default_rng(0)
    certainty = np.where(rng.random(400) < 0.6, 0.999, rng.uniform(0.2, 1.0, 400))
    right = rng.random(400) < np.where(certainty > 0.99, 0.72, 0.78)
    probabilities = np.stack([certainty, 1 - certainty], axis=1)
    first = np.repeat([[True, False]], 400, axis=0)
    images = AnsweredImages(probabilities, first, np.zeros((400, 0), np.float32))
    found = CertaintyMap.fit(LabelledAnswers.of_targets(images, (~right).astype(np.int64)))
    assert found.right(images).mean() == pytest.approx(right.mean(), abs=0.02)


def test_on_held_out_images_every_calibrated_estimate_is_the_accuracy() -> None:
    own = held_out()
    assert thresholded_confidence(own, own.answers, "maximum") == pytest.approx(own.accuracy(), abs=0.01)
    assert thresholded_confidence(own, own.answers, "entropy") == pytest.approx(own.accuracy(), abs=0.01)
    assert calibrated_confidence(own, own.answers) == pytest.approx(own.accuracy(), abs=0.01)
    assert difference_of_confidences(own, own.answers) == pytest.approx(own.accuracy())
    assert average_confidence(own.answers) == pytest.approx(own.answers.probabilities.max(axis=1).mean())


def test_the_thresholded_confidence_counts_the_images_above_the_threshold_of_garg() -> None:
    recent, own = answers(changed(RECENT, "noise", 3)), held_out()
    confidences = np.sort(own.answers.probabilities.max(axis=1))
    threshold = confidences[round((1 - own.accuracy()) * len(own))]
    expected = (recent.probabilities.max(axis=1) >= threshold).mean()
    assert thresholded_confidence(own, recent, "maximum") == pytest.approx(expected)


def test_class_shares_are_a_fixed_point_of_expectation_maximisation_and_find_a_mix() -> None:
    own, zeros = held_out(), np.array([0])
    truth = (labelled(pixels()[RECENT], RECENT).truth == 1).argmax(axis=1)
    rows = np.concatenate([np.flatnonzero(truth == 3), np.flatnonzero(truth == 4)[:20]])
    recent = answers(pixels()[RECENT[rows]])
    shares = class_shares(own, recent)
    assert shares.sum() == pytest.approx(1.0)
    assert shares[3] > 0.65
    assert shares[[5, 6, 7, *zeros]].max() < 0.1
    before = (own.truth == 1).mean(axis=0)
    weighted = recent.probabilities * shares / before
    again = (weighted / weighted.sum(axis=1, keepdims=True)).mean(axis=0)
    assert again == pytest.approx(shares, abs=1e-3)
    threes = (own.truth == 1).argmax(axis=1) == 3
    recall = float(own.right[threes].mean())
    assert class_weights(own, recent).accuracy(own) == pytest.approx(recall, abs=0.12)


def test_feature_weights_are_equal_for_images_of_the_same_kind_and_few_count_under_a_large_shift() -> None:
    alike = feature_weights(held_out().answers, answers(pixels()[RECENT]))
    shifted = feature_weights(held_out().answers, answers(changed(RECENT, "noise", 5)))
    assert alike.effective_images > 0.7 * len(held_out())
    assert shifted.effective_images < 0.5 * alike.effective_images


def test_effective_images_follow_the_formula_of_kish() -> None:
    assert Weights(np.ones(8)).effective_images == pytest.approx(8)
    assert Weights(np.array([1.0, 0, 0, 0])).effective_images == pytest.approx(1)


def test_expected_counts_are_the_mean_of_drawn_labels() -> None:
    recent = answers(changed(RECENT, "rotation", 4))
    probabilities = class_probabilities(recent, recent.certainty)
    assert probabilities.sum(axis=1) == pytest.approx(1.0)
    assert probabilities == pytest.approx(recent.probabilities, abs=1e-6)
    drawn, expected = drawn_counts(recent, probabilities, 0), expected_counts(recent, probabilities)
    assert drawn.right.mean(axis=0) == pytest.approx(expected.right[0], abs=2)
    assert drawn.support.mean(axis=0) == pytest.approx(expected.support[0], abs=4)
    assert drawn.support.sum(axis=1) == pytest.approx(len(recent))


def test_metrics_of_certain_labels_are_those_of_scikit_learn() -> None:
    images = labelled(changed(HELD_OUT, "blur", 5), HELD_OUT)
    counts, truth = images.counts(), images.truth.argmax(axis=1)
    one = Counts(counts.right[None], counts.predicted[None], counts.support[None])
    values = metric_values(one, float(len(images)), metric_names(10, several=False), several=False)
    predicted = images.answers.classes
    assert values["accuracy"][0] == pytest.approx(accuracy_score(truth, predicted))
    assert values["balanced_accuracy"][0] == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert values["macro_f1"][0] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert values["f1[3]"][0] == pytest.approx(f1_score(truth, predicted, average=None)[3])


def test_metrics_of_several_labels_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, answered = rng.random((50, 4)) < 0.3, rng.random((50, 4)) < 0.4
    recent = AnsweredImages(answered * 0.8 + 0.1, answered, np.zeros((50, 0), np.float32), several=True)
    counts = LabelledAnswers.of_targets(recent, truth.astype(np.int64)).counts()
    one = Counts(counts.right[None], counts.predicted[None], counts.support[None])
    values = metric_values(one, float(truth.size), ("accuracy", "micro_f1", "macro_f1"), several=True)
    assert values["accuracy"][0] == pytest.approx((truth == answered).mean())
    assert values["micro_f1"][0] == pytest.approx(f1_score(truth, answered, average="micro"))
    assert values["macro_f1"][0] == pytest.approx(f1_score(truth, answered, average="macro"))


@pytest.mark.parametrize("accuracy", [0.05, 0.5, 0.97])
def test_moved_certainties_have_the_accuracy_as_their_mean_and_keep_their_order(accuracy: float) -> None:
    certainty = answers(pixels()[RECENT]).certainty
    moved = moved_to(certainty, accuracy)
    assert moved.mean() == pytest.approx(accuracy, abs=1e-6)
    order = np.argsort(certainty[:, 0])
    assert (np.diff(moved[order, 0]) >= 0).all()
