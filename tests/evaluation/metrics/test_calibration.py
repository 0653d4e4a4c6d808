"""Calibration: reliability bins of equal mass."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from transfercli.evaluation.metrics.calibration import reliability
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.charts import reliability_chart


def test_reliability_bins_hold_all_images_in_equal_parts(predictions: Predictions) -> None:
    bins = reliability(predictions.targets, predictions.probabilities)
    assert [one.images for one in bins] == [75] * 8
    assert sum(one.images * one.accuracy for one in bins) == pytest.approx(
        (predictions.predicted == predictions.targets).sum()
    )
    assert sum(one.images * one.confidence for one in bins) == pytest.approx(predictions.confidence.sum())
    assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)
    chart = ET.fromstring(str(reliability_chart(bins)))
    assert sum(part.get("class") == "dot validation" for part in chart) == 8


def test_two_images_share_one_bin_and_four_have_two() -> None:
    confident = np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3], [1.0, 0.0]])
    (one,) = reliability(np.array([0, 1]), confident[:2])
    assert (one.images, one.confidence, one.accuracy) == (2, pytest.approx(0.75), 0.5)
    bins = reliability(np.array([0, 1, 0, 0]), confident)
    assert [(one.images, one.confidence, one.accuracy) for one in bins] == [
        (2, pytest.approx(0.65), 1.0),
        (2, pytest.approx(0.95), 0.5),
    ]
