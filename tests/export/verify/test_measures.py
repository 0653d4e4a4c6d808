"""Measures of an artefact beside its run."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score

from transfercli.data.label_sets import UNKNOWN
from transfercli.evaluation.multilabel.metrics import LABEL_METRICS
from transfercli.evaluation.multilabel.predictions import LabelPredictions
from transfercli.export.verify.measures import measures_for

THRESHOLDS = (0.2, 0.5, 0.8)


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_several_labels_are_those_of_scikit_learn_over_known_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities, targets = rng.random((40, 3)), rng.integers(-1, 2, (40, 3))
    scores = measures_for(THRESHOLDS).scores(probabilities, targets)
    known = targets != UNKNOWN
    assert scores["accuracy"] == pytest.approx(
        accuracy_score(targets[known], (probabilities >= np.array(THRESHOLDS))[known])
    )
    each = [average_precision_score(targets[k, i], probabilities[k, i]) for i, k in enumerate(known.T)]
    assert scores["map"] == pytest.approx(np.mean(each))


def test_labels_that_no_image_has_take_no_part_and_without_any_there_is_no_score() -> None:
    measures, probabilities = measures_for(THRESHOLDS), np.full((4, 3), 0.6)
    targets = np.zeros((4, 3), int)
    assert measures.scores(probabilities, targets) == {"accuracy": pytest.approx(1 / 3), "map": None}
    targets[:2, 0] = 1
    assert measures.scores(probabilities, targets)["map"] == pytest.approx(0.5)
    assert measures.scores(probabilities, np.full((4, 3), UNKNOWN)) == {"accuracy": None, "map": None}


@pytest.mark.parametrize("seed", range(20))
def test_no_more_images_change_their_labels_than_have_a_probability_near_a_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    measures, expected = measures_for(THRESHOLDS), rng.random((200, 3)).astype(np.float32)
    expected[:5] = np.array(THRESHOLDS, np.float32)  # exactly at a threshold
    difference = 10.0 ** -rng.integers(1, 6)
    actual = (expected + rng.uniform(-difference, difference, expected.shape)).astype(np.float32)
    greatest = float(np.abs(actual.astype(np.float64) - expected).max())
    same = [
        all((a >= t) == (e >= t) for a, e, t in zip(row, other, THRESHOLDS, strict=True))
        for row, other in zip(actual.tolist(), expected.tolist(), strict=True)
    ]
    agreement, near = measures.agreement(actual, expected), measures.closeness(expected, greatest)["near_threshold"]
    assert agreement == pytest.approx(np.mean(same))
    assert near is not None
    assert 1 - agreement <= near + 1e-12
    assert near >= 5 / 200


def test_one_label_an_image_is_measured_as_ever() -> None:
    measures = measures_for(None)
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9]])
    assert measures.scores(probabilities, np.array([0, 0])) == {"accuracy": 0.5}
    assert measures.agreement(probabilities, probabilities[::-1]) == 0
    assert measures.closeness(probabilities, 1.0) == {}
    assert (measures.default_drop(1000), measures.default_drop(100)) == (0.01, 0.02)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_the_metrics_of_evaluate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities, targets = rng.random((30, 3)), rng.integers(-1, 2, (30, 3))
    paths, labels = tuple(map(str, range(30))), ("a", "b", "c")
    predictions = LabelPredictions(paths, labels, targets, probabilities, np.array(THRESHOLDS))
    expected = {name: float(LABEL_METRICS[name].value(predictions)) for name in ("accuracy", "map")}
    assert measures_for(THRESHOLDS).scores(probabilities, targets) == pytest.approx(expected)
