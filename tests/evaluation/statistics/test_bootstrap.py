"""Stratified bootstrap weights."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.evaluation.metrics.weighted import Sample
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.bootstrap import resample_weights


def test_every_resample_keeps_the_number_of_images_of_each_class(predictions: Predictions) -> None:
    weights = np.concatenate(list(resample_weights(predictions.targets, 20, np.random.default_rng(0))), axis=1)
    assert weights.shape == (600, 20)
    for number, support in enumerate(np.bincount(predictions.targets)):
        np.testing.assert_array_equal(weights[predictions.targets == number].sum(axis=0), support)
    counts = Sample(predictions.targets, predictions.probabilities, weights).counts
    np.testing.assert_array_equal(counts.support, np.tile(np.bincount(predictions.targets), (20, 1)))
    np.testing.assert_array_equal(counts.predicted.sum(axis=1), len(predictions))
    assert (counts.right <= np.minimum(counts.predicted, counts.support)).all()


def test_blocks_add_up_to_the_number_asked_for(predictions: Predictions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transfercli.evaluation.statistics.bootstrap.BLOCK_NUMBERS", 7 * len(predictions))
    blocks = resample_weights(predictions.targets, 20, np.random.default_rng(0))
    assert [block.shape for block in blocks] == [(600, 7), (600, 7), (600, 6)]


def test_an_image_of_a_class_is_drawn_as_often_as_any_other_of_it(predictions: Predictions) -> None:
    weights = np.concatenate(list(resample_weights(predictions.targets, 2000, np.random.default_rng(0))), axis=1)
    assert weights.mean(axis=1) == pytest.approx(np.ones(600), abs=0.12)
    assert weights.var(axis=1).mean() == pytest.approx(1 - 10 / 600, abs=0.01)  # binomial: n draws of 1 in n
