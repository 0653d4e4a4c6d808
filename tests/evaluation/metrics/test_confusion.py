"""Counts of the confusion matrix, and the metrics of one class that follow from them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from transfercli.evaluation.metrics.confusion import PER_CLASS, confusion_matrix, count, macro, ratio
from transfercli.evaluation.predictions import Predictions


def test_the_matrix_has_the_truth_in_its_rows_as_scikit_learn_has(predictions: Predictions) -> None:
    ours = confusion_matrix(predictions.targets, predictions.predicted, 10)
    np.testing.assert_array_equal(ours, sk.confusion_matrix(predictions.targets, predictions.predicted))
    counts = count(predictions.targets, predictions.predicted, 10)
    np.testing.assert_array_equal(counts.right, ours.diagonal())
    np.testing.assert_array_equal(counts.predicted, ours.sum(axis=0))
    np.testing.assert_array_equal(counts.support, ours.sum(axis=1))


@pytest.mark.parametrize(
    "name, expected",
    [
        # Class 0: right once of two; class 1: there and never predicted; class 2: predicted and not there; 3: neither.
        ("precision", [1, 0, 0, np.nan]),
        ("recall", [0.5, 0, np.nan, np.nan]),
        ("f1", [2 / 3, 0, 0, np.nan]),
    ],
)
def test_a_class_that_is_absent_or_never_predicted_has_zero_or_no_value(name: str, expected: list[float]) -> None:
    counts = count(np.array([0, 0, 1]), np.array([0, 2, 2]), 4)
    np.testing.assert_allclose(PER_CLASS[name](counts), expected)


def test_the_macro_average_is_over_the_classes_that_have_images() -> None:
    counts = count(np.array([0, 0, 1]), np.array([0, 2, 2]), 4)
    assert macro(PER_CLASS["recall"](counts), counts) == pytest.approx(0.25)


def test_a_ratio_over_nothing_has_the_value_that_is_asked_for() -> None:
    np.testing.assert_array_equal(ratio(np.array([1.0, 2.0]), np.array([0.0, 4.0]), 7.0), [7.0, 0.5])
