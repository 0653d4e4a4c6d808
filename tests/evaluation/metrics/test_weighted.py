"""Weighted samples: one set of predictions, several versions of how often each image counts."""

from __future__ import annotations

import numpy as np

from transfercli.evaluation.metrics.weighted import Sample, sum_by_group
from transfercli.evaluation.predictions import Predictions


def test_a_version_counts_as_its_images_repeated(predictions: Predictions) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(predictions), size=(len(predictions), 3))
    weights = np.stack([np.bincount(rows, minlength=len(predictions)) for rows in drawn.T], axis=1).astype(float)
    together = Sample(predictions.targets, predictions.probabilities, weights)
    for version, rows in enumerate(drawn.T):
        alone = Sample.unweighted(predictions.targets[rows], predictions.probabilities[rows])
        np.testing.assert_array_equal(together.counts.right[version], alone.counts.right[0])
        np.testing.assert_array_equal(together.counts.predicted[version], alone.counts.predicted[0])
        np.testing.assert_allclose(together.ranking.roc_auc[version], alone.ranking.roc_auc[0])
        np.testing.assert_allclose(together.mean(together.right)[version], alone.mean(alone.right)[0])


def test_a_group_without_images_weighs_nothing() -> None:
    weights = np.array([[1.0, 0.0], [2.0, 1.0], [4.0, 3.0]])
    np.testing.assert_array_equal(sum_by_group(weights, np.array([2, 0, 2]), 4), [[2, 0, 5, 0], [1, 0, 3, 0]])
    np.testing.assert_array_equal(sum_by_group(np.zeros((0, 2)), np.zeros(0, int), 3), np.zeros((2, 3)))
