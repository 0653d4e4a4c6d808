"""Areas under ROC and precision-recall curves, weighted."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from transfercli.evaluation.metrics.ranking import class_ranking_areas, mean_of_defined, ranking_areas


@pytest.mark.parametrize("levels", [4, 10_000], ids=["tied", "distinct"])
def test_each_column_of_weights_gives_the_areas_of_scikit_learn(levels: int) -> None:
    rng = np.random.default_rng(levels)
    positive, scores = rng.random(200) < 0.3, rng.integers(levels, size=200) / levels
    weights = rng.integers(0, 4, size=(200, 5)).astype(float)
    areas, precisions = class_ranking_areas(positive, scores, weights)
    for column, area, precision in zip(weights.T, areas, precisions, strict=True):
        assert area == pytest.approx(sk.roc_auc_score(positive, scores, sample_weight=column))
        assert precision == pytest.approx(sk.average_precision_score(positive, scores, sample_weight=column))


def test_a_class_without_images_has_no_area_and_the_mean_leaves_it_out() -> None:
    targets, probabilities = (
        np.array([0, 1, 0, 1]),
        np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.6, 0.4, 0], [0.7, 0.3, 0]]),
    )
    ranked = ranking_areas(targets, probabilities, np.ones((4, 1)))
    np.testing.assert_allclose(ranked.roc_auc, [[0.75, 0.75, np.nan]])
    np.testing.assert_allclose(mean_of_defined(ranked.roc_auc), [0.75])
    assert np.isnan(mean_of_defined(np.full((1, 3), np.nan)))
