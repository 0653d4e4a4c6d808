from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from transfercli.evaluation.metrics.calibration import reliability
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.report.charts import (
    corruption_chart,
    nice_ticks,
    reliability_chart,
    risk_chart,
    training_curves,
)

LINES: list[dict[str, Any]] = [
    {"epoch": epoch, "loss": 1 / epoch, "val_loss": abs(epoch - 4) + 0.5, "accuracy": 0.5} for epoch in range(1, 7)
]
for line in LINES:
    line["phase"] = "head" if line["epoch"] < 3 else "all"


@pytest.mark.parametrize(
    "low, high", [(0.0, 1.0), (0.0, 0.37), (0.0, 2.31), (0.0, 1234.0), (-0.4, 0.9), (0.0, 1e-9), (0.0, 0.0), (0.0, 1e6)]
)
def test_ticks_are_few_round_and_hold_the_range(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low + 1e-12
    assert ticks[-1] >= high * (1 - 1e-6)
    assert 2 <= len(ticks) <= 8


def test_the_accuracy_axis_runs_from_0_to_1() -> None:
    assert nice_ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]


def test_curves_have_a_line_a_series_the_best_epoch_and_the_border_of_phases() -> None:
    chart = ET.fromstring(str(training_curves(LINES, "loss", None)))
    kinds = [part.get("class") for part in chart]
    assert kinds.count("curve training") == 1
    assert kinds.count("curve validation") == 1
    assert kinds.count("border") == 1
    best = next(part for part in chart if part.get("class") == "best")
    dots = [part for part in chart if part.get("class") == "dot validation"]
    assert best.get("x1") == dots[3].get("cx")
    assert chart.get("aria-label") == "loss by epoch, 1 to 6; at the end: training 0.167, validation 2.500"


def test_a_missing_value_leaves_a_gap() -> None:
    lines = [{**line, "val_loss": None if line["epoch"] == 3 else line["val_loss"]} for line in LINES]
    chart = ET.fromstring(str(training_curves(lines, "loss", None)))
    path = next(part for part in chart if part.get("class") == "curve validation").get("d")
    assert path is not None
    assert path.count("M") == 2
    assert "nan" not in path


def test_a_series_that_is_missing_is_left_out_and_nothing_at_all_is_no_chart() -> None:
    chart = str(training_curves(LINES, "accuracy", None))
    assert "curve training" in chart
    assert "curve validation" not in chart
    assert training_curves(LINES, "top5", None) is None
    assert training_curves([], "loss", None) is None
    assert training_curves([{"epoch": 1, "loss": math.nan}], "loss", None) is None


def test_a_single_epoch_is_drawn() -> None:
    ET.fromstring(str(training_curves(LINES[:1], "loss", None)))


def test_reliability_bins_hold_all_images_in_equal_parts(digits: Predictions) -> None:
    bins = reliability(digits.targets, digits.probabilities)
    assert [one.images for one in bins] == [40] * 15
    assert sum(one.images * one.accuracy for one in bins) == pytest.approx((digits.predicted == digits.targets).sum())
    assert sum(one.images * one.confidence for one in bins) == pytest.approx(digits.confidence.sum())
    assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)
    chart = ET.fromstring(str(reliability_chart(bins)))
    assert sum(part.get("class") == "dot validation" for part in chart) == 15


def test_fewer_images_than_bins_leave_no_empty_bin() -> None:
    bins = reliability(np.array([0, 1]), np.array([[0.6, 0.4], [0.9, 0.1]]))
    assert [(one.images, one.confidence, one.accuracy) for one in bins] == [(1, 0.6, 1.0), (1, 0.9, 0.0)]


def test_the_risk_rises_with_coverage_and_the_threshold_is_marked() -> None:
    curve = {"coverage": [0.25, 0.5, 1.0], "accuracy": [1.0, 0.9, 0.8]}
    plain = ET.fromstring(str(risk_chart(curve, None)))
    marked = ET.fromstring(str(risk_chart(curve, {"coverage": 0.5, "accuracy": 0.9})))
    assert "the risk is 0.200" in plain.attrib["aria-label"]
    assert len(list(marked)) == len(list(plain)) + 2
    heights = [float(dot.attrib["cy"]) for dot in plain if dot.tag == "circle"]
    assert heights == sorted(heights, reverse=True)
    nothing = {"coverage": 0.0, "accuracy": None}
    assert len(list(ET.fromstring(str(risk_chart(curve, nothing))))) == len(list(plain))


def test_accuracy_under_a_corruption_falls_with_its_severity_beside_what_it_is_without() -> None:
    values = [0.9, 0.8, 0.5, 0.5, 0.1]
    rows = [
        {"severity": at, "accuracy": value, "interval": [value - 0.1, min(1, value + 0.2)]}
        for at, value in enumerate(values, 1)
    ]
    chart = ET.fromstring(str(corruption_chart(rows, 0.95)))
    assert chart.attrib["aria-label"] == "accuracy at severity 1 to 5: 0.900, 0.800, 0.500, 0.500, 0.100"
    parts = {kind: [part.attrib for part in chart if part.get("class") == kind] for kind in ("interval", "border")}
    heights = [float(part.attrib["cy"]) for part in chart if part.tag.endswith("circle")]
    assert heights == sorted(heights)
    unit = (heights[4] - heights[0]) / 0.8
    for one, height in zip(parts["interval"], heights, strict=True):
        assert float(one["y1"]) == pytest.approx(height + 0.1 * unit, abs=0.1)
        assert float(one["y2"]) < height
    assert float(parts["border"][0]["y1"]) == pytest.approx(heights[0] - 0.05 * unit, abs=0.1)
