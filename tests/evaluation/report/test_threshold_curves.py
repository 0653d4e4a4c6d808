"""ROC and precision-recall curves, held against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.threshold_curves import POINTS, class_curves, threshold_curves


@pytest.mark.parametrize("decimals", [1, 8])  # with and without equal scores
def test_curves_and_areas_are_those_of_scikit_learn(decimals: int) -> None:
    random = np.random.default_rng(0)
    positive = random.random(300) < 0.3
    scores = np.round(np.clip(random.normal(0.4 + 0.2 * positive, 0.2), 0, 1), decimals)
    curves = class_curves("a", positive, scores)
    assert curves.roc_auc == pytest.approx(roc_auc_score(positive, scores))
    assert curves.average_precision == pytest.approx(average_precision_score(positive, scores))
    false_rate, true_rate, _ = roc_curve(positive, scores, drop_intermediate=False)
    assert curves.true_positives == pytest.approx(np.interp(POINTS, false_rate, true_rate))
    precision, recall, _ = precision_recall_curve(positive, scores)
    for value, drawn in zip(POINTS[1::20], curves.precision[1::20], strict=True):
        first = np.flatnonzero(recall[::-1] >= value - 1e-12)[0]
        candidates = precision[::-1][recall[::-1] == recall[::-1][first]]
        assert drawn == pytest.approx(candidates.max())


def predictions(targets: list[int], classes: int = 3) -> Predictions:
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(classes), len(targets)).astype("float32")
    names = tuple(f"class {n}" for n in range(classes))
    return Predictions(tuple(map(str, range(len(targets)))), names, np.array(targets, "int32"), probabilities)


def test_only_classes_with_images_of_both_kinds_have_curves() -> None:
    found = threshold_curves(predictions([0, 0, 1, 1, 1]))
    assert found
    assert found.classes == 2
    assert {curve.label for curve in found.lowest} == {"class 0", "class 1"}
    assert found.lowest[0].average_precision <= found.lowest[1].average_precision
    assert found.roc.count("<path") == 3  # two classes and their mean
    assert threshold_curves(predictions([0, 0, 0])) is None


def test_of_many_classes_the_lowest_are_drawn() -> None:
    found = threshold_curves(predictions(list(range(40)) * 3, classes=40))
    assert found
    assert (found.classes, len(found.lowest)) == (40, 5)
    assert found.precision_recall.count("<path") == 21
