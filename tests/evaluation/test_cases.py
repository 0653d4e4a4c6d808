from __future__ import annotations

import numpy as np

from transfercli.evaluation.cases import SHOWN, least_sure, most_confused, worst_mistakes
from transfercli.evaluation.counts import confusion_matrix
from transfercli.evaluation.predictions import Predictions


def test_the_worst_mistakes_are_wrong_and_surest_first(digits: Predictions) -> None:
    cases = worst_mistakes(digits)
    wrong = digits.predicted != digits.targets
    assert len(cases) == min(SHOWN, wrong.sum())
    assert not any(case.right for case in cases)
    assert [case.confidence for case in cases] == sorted(digits.confidence[wrong], reverse=True)[:SHOWN]
    first = cases[0]
    assert first.path == digits.paths[first.index]
    assert first.truth == digits.labels[digits.targets[first.index]]
    assert first.truth_probability == digits.probabilities[first.index, digits.targets[first.index]]


def test_the_least_sure_may_be_right(digits: Predictions) -> None:
    cases = least_sure(digits)
    assert [case.confidence for case in cases] == sorted(digits.confidence)[:SHOWN]
    assert {case.right for case in cases} == {True, False}


def test_equals_keep_the_order_of_the_split() -> None:
    tied = Predictions(tuple("abc"), ("x", "y"), np.array([1, 1, 1]), np.full((3, 2), 0.5))
    assert [case.path for case in worst_mistakes(tied)] == ["a", "b", "c"]


def test_the_most_confused_pairs_leave_out_the_diagonal(digits: Predictions) -> None:
    matrix = confusion_matrix(digits.targets, digits.predicted, 10)
    pairs = most_confused(matrix, digits.labels)
    assert pairs[0].images == (matrix - np.diag(np.diag(matrix))).max()
    assert all(pair.truth != pair.predicted for pair in pairs)
    row = digits.labels.index(pairs[0].truth)
    assert pairs[0].share == pairs[0].images / matrix[row].sum()
    assert most_confused(np.diag([3, 4]), ("x", "y")) == []
