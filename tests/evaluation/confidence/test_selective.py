"""Selective prediction: the risk-coverage curve, and the number of independent images in groups."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.evaluation.confidence.selective import coverage_curve, independent_images

CONFIDENCE = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
RIGHT = np.array([True, True, False, True, False])


def test_a_risk_coverage_curve_of_a_worked_example() -> None:
    curve = coverage_curve(CONFIDENCE, RIGHT)
    np.testing.assert_allclose(curve.coverage, [0.2, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(curve.accuracy, [1, 2 / 3, 3 / 4, 3 / 5])
    np.testing.assert_allclose(curve.votes, curve.images)
    # Ranks 1 to 5; the two that are equally sure share their one mistake: right 1, 1.5, 2, 3, 3.
    assert curve.area == pytest.approx(np.mean([0, 1 - 1.5 / 2, 1 / 3, 1 / 4, 2 / 5]))
    assert curve.as_json()["coverage"] == pytest.approx([0.2, 0.6, 0.8, 1.0])


def test_images_of_groups_are_worth_fewer_independent_ones() -> None:
    found = independent_images(np.array([0, 1, 0, 2, 0]))
    np.testing.assert_allclose(found, [1, 2, 9 / 5, 16 / 6, 25 / 11])
    groups = coverage_curve(CONFIDENCE, RIGHT, np.array([0, 0, 0, 1, 1]))
    np.testing.assert_allclose(groups.votes, [1, 1, 16 / 10, 25 / 13])
