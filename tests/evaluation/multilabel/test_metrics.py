"""Metrics of several labels against scikit-learn, with unknown targets, empty columns and weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from tests.evaluation.multilabel.answers import label_value_of, random_answers
from transfercli.evaluation.metrics.calibration import expected_calibration_error
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS, PER_LABEL, LabelSample
from transfercli.evaluation.multilabel.predictions import LabelPredictions

Array = np.ndarray
SEEDS = range(6)


def of_known(answers: LabelPredictions, label: int) -> tuple[Array, Array, Array]:
    """Return truth, answers and probabilities of the images whose target for the label is known."""
    known = answers.targets[:, label] >= 0
    return answers.targets[known, label], answers.answered[known, label], answers.probabilities[known, label]


def mean_over(answers: LabelPredictions, score: Callable[..., float], least: int = 1) -> float:
    """Return the mean of a score over the labels that an image has; least: number of different truths needed."""
    columns = [of_known(answers, label) for label in range(len(answers.labels))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(
            np.mean([score(*column) for column in columns if column[0].any() and len(set(column[0])) >= least])
        )


def pairs(answers: LabelPredictions) -> tuple[Array, Array, Array]:
    known = answers.targets >= 0
    return answers.targets[known], answers.answered[known], answers.probabilities[known]


def all_right(answers: LabelPredictions) -> float:
    known = answers.targets >= 0
    judged = known.any(axis=1)
    truth = np.where(known, answers.targets, 0)[judged]
    return float(sk.accuracy_score(truth, np.where(known, answers.answered, 0)[judged]))


def coverage(answers: LabelPredictions) -> float:
    """Return scikit-learn's coverage error; an unknown label is ranked last, and the image does not have it."""
    known = answers.targets >= 0
    judged = known.any(axis=1)
    scores = np.where(known, answers.probabilities, -1.0)
    return float(sk.coverage_error(np.where(known, answers.targets, 0)[judged], scores[judged]))


def ranked(score: Callable[..., float]) -> Callable[..., float]:
    return lambda truth, _, probability: score(truth, probability)


def decided(score: Callable[..., float], **settings: Any) -> Callable[..., float]:
    return lambda truth, answered, _: score(truth, answered, **settings)


REFERENCES: dict[str, Callable[[LabelPredictions], float]] = {
    "map": lambda answers: mean_over(answers, ranked(sk.average_precision_score)),
    "micro_ap": lambda answers: ranked(sk.average_precision_score)(*pairs(answers)),
    "macro_auroc": lambda answers: mean_over(answers, ranked(sk.roc_auc_score), least=2),
    "micro_f1": lambda answers: decided(sk.f1_score)(*pairs(answers)),
    "macro_f1": lambda answers: mean_over(answers, decided(sk.f1_score)),
    "micro_precision": lambda answers: decided(sk.precision_score)(*pairs(answers)),
    "macro_precision": lambda answers: mean_over(answers, decided(sk.precision_score, zero_division=0)),
    "micro_recall": lambda answers: decided(sk.recall_score)(*pairs(answers)),
    "macro_recall": lambda answers: mean_over(answers, decided(sk.recall_score)),
    "subset_accuracy": all_right,
    "hamming_loss": lambda answers: decided(sk.hamming_loss)(*pairs(answers)),
    "accuracy": lambda answers: decided(sk.accuracy_score)(*pairs(answers)),
    "balanced_accuracy": lambda answers: mean_over(answers, decided(sk.balanced_accuracy_score)),
    "coverage": coverage,
    "log_loss": lambda answers: ranked(sk.log_loss)(*pairs(answers)),
    "brier": lambda answers: ranked(sk.brier_score_loss)(*pairs(answers)),
    "ece": lambda answers: expected_calibration_error(pairs(answers)[2], pairs(answers)[0] == 1),
}
OF_LABEL: dict[str, Callable[..., float]] = {
    "precision": decided(sk.precision_score, zero_division=0),
    "recall": decided(sk.recall_score),
    "f1": decided(sk.f1_score),
    "ap": ranked(sk.average_precision_score),
    "auroc": ranked(sk.roc_auc_score),
}


def test_every_metric_has_a_reference() -> None:
    assert set(REFERENCES) == set(LABEL_METRICS)
    assert set(OF_LABEL) == set(PER_LABEL)


@pytest.mark.parametrize("name", LABEL_METRICS)
@pytest.mark.parametrize("missing", [0.0, 0.2, 0.7])
def test_a_metric_is_that_of_scikit_learn_without_unknown_targets_and_empty_columns(name: str, missing: float) -> None:
    for seed in SEEDS:
        answers = random_answers(seed, missing=missing)
        assert label_value_of(name, answers) == pytest.approx(REFERENCES[name](answers), abs=1e-12)


@pytest.mark.parametrize("name", [name for name in LABEL_METRICS if name not in ("coverage", "ece")])
def test_complete_targets_give_what_scikit_learn_computes_of_the_whole_arrays(name: str) -> None:
    whole: dict[str, Callable[..., float]] = {
        "map": lambda t, _, p: sk.average_precision_score(t, p, average="macro"),
        "micro_ap": lambda t, _, p: sk.average_precision_score(t, p, average="micro"),
        "macro_auroc": lambda t, _, p: sk.roc_auc_score(t, p, average="macro"),
        "micro_f1": lambda t, a, _: sk.f1_score(t, a, average="micro"),
        "macro_f1": lambda t, a, _: sk.f1_score(t, a, average="macro"),
        "subset_accuracy": lambda t, a, _: sk.accuracy_score(t, a),
        "hamming_loss": lambda t, a, _: sk.hamming_loss(t, a),
    }
    answers = random_answers(3, missing=0.0)
    targets, columns = answers.targets[:, 2:], slice(2, None)  # without the columns of one value
    complete = LabelPredictions(
        answers.paths, answers.labels[2:], targets, answers.probabilities[:, columns], answers.thresholds[columns]
    )
    if name in whole:
        expected = whole[name](targets, complete.answered.astype(int), complete.probabilities)
        assert label_value_of(name, complete) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", PER_LABEL)
def test_a_metric_of_one_label_is_that_of_scikit_learn_and_not_defined_for_an_empty_column(name: str) -> None:
    for seed in SEEDS:
        answers = random_answers(seed)
        values = PER_LABEL[name].value(answers)
        for label in range(2, len(answers.labels)):
            expected = OF_LABEL[name](*of_known(answers, label))
            assert values[label] == pytest.approx(expected, abs=1e-12)
        if name in ("recall", "ap", "auroc"):
            assert np.isnan(values[0])  # no image has the label
        if name == "auroc":
            assert np.isnan(values[1])  # every image has it


@pytest.mark.parametrize("name", [*LABEL_METRICS, *PER_LABEL])
def test_whole_weights_are_those_of_repeated_images(name: str) -> None:
    answers = random_answers(1)
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 3, (len(answers), 4)).astype(float)
    row = LABEL_METRICS.get(name) or PER_LABEL[name]
    drawn = row.rule(LabelSample(answers, weights))
    for column in range(4):
        repeated = answers.of(np.repeat(np.arange(len(answers)), weights[:, column].astype(int)))
        # The calibration error has the bins of the images themselves, whose number decides them.
        tolerance = 0.05 if name == "ece" else 1e-12
        np.testing.assert_allclose(drawn[column], row.value(repeated), atol=tolerance)


def test_answers_without_a_known_target_have_no_metric_and_no_warning() -> None:
    answers = LabelPredictions(["a"], ["x", "y"], [[-1, -1]], [[0.2, 0.9]], [0.5, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert {label_value_of(name, answers) for name in LABEL_METRICS} == {None}
        assert all(np.isnan(row.value(answers)).all() for row in PER_LABEL.values())


def test_an_image_without_a_known_target_counts_for_no_metric() -> None:
    answers = random_answers(2)
    more = LabelPredictions(
        [*answers.paths, "x.png"],
        answers.labels,
        np.vstack([answers.targets, np.full((1, 6), -1)]),
        np.vstack([answers.probabilities, np.ones((1, 6))]),
        answers.thresholds,
    )
    for name in LABEL_METRICS:
        assert label_value_of(name, more) == label_value_of(name, answers)
