"""Selective prediction: risk, coverage, thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.evaluation.confidence.selective import (
    coverage_curve,
    threshold_for_accuracy,
    threshold_for_coverage,
)

CONFIDENCE = np.array([0.9, 0.8, 0.8, 0.7, 0.6])


RIGHT = np.array([True, True, False, True, False])


def test_a_risk_coverage_curve_of_a_worked_example() -> None:
    curve = coverage_curve(CONFIDENCE, RIGHT)
    np.testing.assert_allclose(curve.coverage, [0.2, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(curve.accuracy, [1, 2 / 3, 3 / 4, 3 / 5])
    # Ranks 1 to 5; the two that are equally sure share their one mistake: right 1, 1.5, 2, 3, 3.
    assert curve.area == pytest.approx(np.mean([0, 1 - 1.5 / 2, 1 / 3, 1 / 4, 2 / 5]))
    assert curve.as_json()["coverage"] == pytest.approx([0.2, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("wanted, threshold", [(1.0, 0.85), (0.75, 0.65), (0.7, 0.65), (0.6, 0.0)])
def test_the_threshold_for_an_accuracy_covers_as_much_as_can_be(wanted: float, threshold: float) -> None:
    assert threshold_for_accuracy(coverage_curve(CONFIDENCE, RIGHT), wanted) == pytest.approx(threshold)


@pytest.mark.parametrize("wanted, threshold", [(0.1, 0.85), (0.2, 0.85), (0.3, 0.75), (0.8, 0.65), (1.0, 0.0)])
def test_the_threshold_for_a_coverage_covers_at_least_that(wanted: float, threshold: float) -> None:
    assert threshold_for_coverage(coverage_curve(CONFIDENCE, RIGHT), wanted) == pytest.approx(threshold)
