from __future__ import annotations

from collections import Counter

import numpy as np

from transfercli.evaluation.examples import (
    SHOWN,
    changes,
    images_to_explain,
    least_sure,
    likely_label_errors,
    most_confused,
    typically_right,
    worst_mistakes,
)
from transfercli.evaluation.metrics.confusion import confusion_matrix
from transfercli.evaluation.predictions import Predictions


def test_the_worst_mistakes_are_wrong_and_surest_first(predictions: Predictions) -> None:
    cases = worst_mistakes(predictions)
    wrong = predictions.predicted != predictions.targets
    assert len(cases) == min(SHOWN, wrong.sum())
    assert not any(case.right for case in cases)
    assert [case.confidence for case in cases] == sorted(predictions.confidence[wrong], reverse=True)[:SHOWN]
    first = cases[0]
    assert first.path == predictions.paths[first.index]
    assert first.truth == predictions.labels[predictions.targets[first.index]]
    assert first.truth_probability == predictions.probabilities[first.index, predictions.targets[first.index]]


def test_the_least_sure_may_be_right(predictions: Predictions) -> None:
    cases = least_sure(predictions)
    assert [case.confidence for case in cases] == sorted(predictions.confidence)[:SHOWN]
    assert {case.right for case in cases} == {True, False}


def test_changes_are_those_on_which_the_two_differ_most_first() -> None:
    champion, challenger = (
        Predictions(tuple("abcde"), ("x", "y"), np.zeros(5, int), np.array([[right, 1 - right] for right in rights]))
        for rights in ([0.4, 0.1, 0.9, 0.2, 0.9], [0.6, 0.9, 0.3, 0.3, 0.8])
    )
    fixed, broken = changes(champion, challenger)
    assert [(one.champion.path, one.challenger.path) for one in fixed] == [("b", "b"), ("a", "a")]
    assert [one.champion.confidence for one in fixed] == [0.9, 0.6]
    assert [(one.champion.right, one.challenger.right, one.challenger.path) for one in broken] == [(True, False, "c")]
    assert [one.challenger.path for one in changes(champion, challenger, most=1)[0]] == ["b"]


def test_equals_keep_the_order_of_the_split() -> None:
    tied = Predictions(tuple("abc"), ("x", "y"), np.array([1, 1, 1]), np.full((3, 2), 0.5))
    assert [case.path for case in worst_mistakes(tied)] == ["a", "b", "c"]


def test_the_most_confused_pairs_leave_out_the_diagonal(predictions: Predictions) -> None:
    matrix = confusion_matrix(predictions.targets, predictions.predicted, 10)
    pairs = most_confused(matrix, predictions.labels)
    assert pairs[0].images == (matrix - np.diag(np.diag(matrix))).max()
    assert all(pair.truth != pair.predicted for pair in pairs)
    row = predictions.labels.index(pairs[0].truth)
    assert pairs[0].share == pairs[0].images / matrix[row].sum()
    assert most_confused(np.diag([3, 4]), ("x", "y")) == []


def test_of_each_class_some_right_answers_of_middle_confidence_are_shown(predictions: Predictions) -> None:
    cases = typically_right(predictions)
    assert all(case.right for case in cases)
    assert Counter(case.truth for case in cases) == dict.fromkeys(predictions.labels, 2)  # 24 places, ten classes
    zero = np.sort(predictions.confidence[(predictions.targets == 0) & (predictions.predicted == 0)])
    shown = [case.confidence for case in cases if case.truth == predictions.labels[0]]
    assert zero[len(zero) // 3] <= min(shown)
    assert max(shown) <= zero[-len(zero) // 3]


def test_where_nothing_is_right_none_is_shown() -> None:
    wrong = Predictions(("a", "b"), ("x", "y"), np.array([0, 1]), np.array([[0.1, 0.9], [0.9, 0.1]]))
    assert typically_right(wrong) == []


def test_each_part_of_what_to_look_at_has_some_of_each_kind(predictions: Predictions) -> None:
    indices = images_to_explain(predictions)
    assert len(indices) == len(set(indices))
    worst, unsure, right = (rule(predictions) for rule in (worst_mistakes, least_sure, typically_right))
    assert indices[:3] == [worst[0].index, unsure[0].index, right[0].index]
    assert set(indices) == {case.index for case in (*worst, *unsure, *right)}


def test_a_label_that_the_model_contradicts_is_doubted(predictions: Predictions) -> None:
    sure = int(np.argmax(predictions.confidence))
    targets = predictions.targets.copy()
    targets[sure] = (targets[sure] + 1) % 10
    doubts = likely_label_errors(Predictions(predictions.paths, predictions.labels, targets, predictions.probabilities))
    (found,) = (doubt for doubt in doubts.shown if doubt.case.index == sure)
    assert found.likely == predictions.labels[predictions.predicted[sure]]
    probabilities = [doubt.probability for doubt in doubts.shown]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(0.5 < probability < 1 for probability in probabilities)
    assert doubts.count >= len(doubts.shown)
    assert 0 < doubts.expected_false_alarms < doubts.count / 2
