"""The result of an evaluation of several labels: its JSON, gates, honest metrics, slices and tables of labels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, multilabel_confusion_matrix

from tests.evaluation.multilabel.answers import label_value_of, random_answers
from transfercli.errors import DataError
from transfercli.evaluation.gates import Gate, from_config
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.evaluation.multilabel.result import LabelEvaluation, evaluate_labels
from transfercli.evaluation.slices import slice_by_value


def plain(evaluation: LabelEvaluation) -> dict[str, Any]:
    """Return the result as it is read from JSON, which has no NaN."""
    read: dict[str, Any] = json.loads(json.dumps(evaluation.as_result(), allow_nan=False))
    return read


def test_the_result_has_the_keys_of_one_class_per_image_and_no_nan() -> None:
    result = plain(evaluate_labels(random_answers(0)))
    assert {"examples", "metrics", "intervals", "per_class", "confusion_matrix", "gates", "honest"} <= set(result)
    assert set(result["metrics"]) == set(LABEL_METRICS)
    first, second = result["per_class"][:2]
    assert (first["label"], first["support"], first["ap"], first["recall"]) == ("l0", 0, None, None)
    assert (second["negatives"], second["auroc"]) == (0, None)
    for row in result["per_class"]:
        assert row["support"] + row["negatives"] + row["unknown"] == result["examples"]


def test_the_confusion_matrices_are_those_of_scikit_learn_over_known_targets() -> None:
    answers = random_answers(1)
    known = answers.targets >= 0
    expected = multilabel_confusion_matrix(
        np.where(known, answers.targets, 0), np.where(known, answers.answered, 0).astype(int)
    )
    expected[:, 0, 0] -= (~known).sum(axis=0)  # counted as known to be without the label
    assert evaluate_labels(answers).confusion.tolist() == expected.tolist()


def test_co_occurrence_counts_images_by_pairs_of_labels() -> None:
    targets = [[1, 1, 0], [1, 0, 0], [0, -1, 1], [1, 1, 1]]
    probabilities = [[0.9, 0.1, 0.9], [0.8, 0.2, 0.1], [0.1, 0.9, 0.9], [0.9, 0.9, 0.1]]
    answers = LabelPredictions("wxyz", "abc", targets, probabilities, [0.5] * 3)
    found = evaluate_labels(answers).co_occurrence
    assert found["together"] == [[3, 2, 1], [2, 2, 1], [1, 1, 2]]
    assert found["answered_together"] == [[3, 1, 1], [1, 1, 0], [1, 0, 2]]
    assert found["confused"] == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]  # w misses b and gets c


def test_gates_hold_against_images_that_were_not_learnt_from() -> None:
    answers = random_answers(2, images=80)
    learnt = np.arange(80) < 40
    gates = from_config(
        {"map": 0.5, "ap[l3]": 0.01, "recall[l2]": 0.01, "hamming_loss": "<=0.001"}, answers.labels, "multilabel"
    )
    result = evaluate_labels(answers, gates=gates, left_out=learnt)
    others = answers.of(np.arange(40, 80))
    assert result.honest == {name: label_value_of(name, others) for name in LABEL_METRICS}
    truth, scores = (values[others.known[:, 3], 3] for values in (others.targets, others.probabilities))
    values = {gate["metric"]: gate["value"] for gate in result.gates}
    assert values["map"] == result.honest["map"] != result.metrics["map"]
    assert values["ap[l3]"] == pytest.approx(average_precision_score(truth, scores))
    assert [gate["passed"] for gate in result.gates] == [True, True, True, False]


def test_without_an_image_left_every_gate_fails_and_the_result_is_whole() -> None:
    answers = random_answers(3)
    result = evaluate_labels(answers, gates=[Gate("map", ">=", 0.0)], left_out=np.ones(len(answers), bool))
    assert not result.passed
    assert set(plain(result)["honest"].values()) == {None}


def test_a_gate_on_the_interval_is_compared_with_its_worse_end() -> None:
    gates = [Gate("ap[l3]", ">=", 0.0), Gate("hamming_loss", "<=", 1.0), Gate("ap[l0]", ">=", 0.0)]
    result = evaluate_labels(random_answers(4), gates=gates, gate_on="lower")
    values = [gate["value"] for gate in result.gates]
    assert values == [result.intervals["ap[l3]"][0], result.intervals["hamming_loss"][1], None]
    assert [gate["passed"] for gate in result.gates] == [True, True, False]


def test_slices_and_groups_have_metrics_of_their_own() -> None:
    answers = random_answers(5)
    groups = tuple(f"g{number % 10}" for number in range(len(answers)))
    answers = LabelPredictions(
        answers.paths, answers.labels, answers.targets, answers.probabilities, answers.thresholds, groups
    )
    parts = slice_by_value(["x" if number < 20 else "y" for number in range(len(answers))])
    result = evaluate_labels(answers, slices={"camera": parts})
    assert [(row["value"], row["examples"], row["groups"]) for row in result.slices] == [("y", 40, 10), ("x", 20, 10)]
    assert result.slices[1]["metrics"]["map"] == label_value_of("map", answers.of(np.arange(20)))
    assert result.groups == 10


def test_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="the split is empty"):
        evaluate_labels(random_answers(0).of(np.array([], int)))


def test_images_without_any_known_label_are_refused_and_a_slice_of_them_has_no_metrics() -> None:
    targets = [[1, 0], [0, 1], [-1, -1], [-1, -1]]
    answers = LabelPredictions("wxyz", "ab", targets, [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.4, 0.6]], [0.5] * 2)
    with pytest.raises(DataError, match="every label of the 2 images is unknown"):
        evaluate_labels(answers.of(np.array([2, 3])))
    sides = slice_by_value(["left", "left", "right", "right"])
    left, right = plain(evaluate_labels(answers, slices={"side": sides}))["slices"]
    assert left["metrics"]["map"] == 1
    assert set(right["metrics"].values()) == {None}
    honest = evaluate_labels(answers, left_out=np.array([True, True, False, False])).honest
    assert set(honest.values()) == {None}
