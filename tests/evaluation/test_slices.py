from __future__ import annotations

import numpy as np
import pytest

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.result import evaluate
from transfercli.evaluation.slices import (
    brightness,
    compute_slices,
    slice_by_thirds,
    slice_by_value,
    square_sides,
    table_slices,
)

NAMES = ("low", "middle", "high")


def test_parts_by_value_are_told_from_the_largest_and_an_empty_value_is_one() -> None:
    found = slice_by_value(["b", "a", "", "b"])
    assert [(value, chosen.tolist()) for value, chosen in found.parts()] == [("b", [0, 3]), ("(none)", [2]), ("a", [1])]


def test_thirds_have_their_bounds_and_equal_values_stay_together() -> None:
    found = slice_by_thirds(np.array([1.0, 2, 3, 4, 5, 6]), NAMES, "px")
    assert found.order == ("low: 1 to 2 px", "middle: 3 to 4 px", "high: 5 to 6 px")
    assert [len(chosen) for _, chosen in found.parts()] == [2, 2, 2]
    assert slice_by_thirds(np.array([7.0, 7, 7]), NAMES, "px").order == ("all: 7 to 7 px",)
    assert slice_by_thirds(np.array([1.0, 9, 9]), NAMES, "px").order == ("low: 1 to 1 px", "high: 9 to 9 px")


def test_brightness_is_the_mean_luma_and_a_side_that_of_a_square() -> None:
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[1], images[2, :, :, 1] = 255, 100
    assert brightness(lambda at: images[at], 3) == pytest.approx([0, 255, 58.7], abs=1e-3)
    assert square_sides([(200, 50), (8, 8)]) == pytest.approx([100, 8])


def test_a_slice_has_the_metrics_and_intervals_of_its_images_alone(
    digits: Predictions, digit_images: np.ndarray
) -> None:
    names = ["camera", "brightness", "camera"]
    assert table_slices(names) == ["camera"]
    columns = {"camera": ["left" if index < 200 else "right" for index in range(600)]}
    slices = compute_slices(names, lambda at: digit_images[at], [(8, 8)] * 600, columns)
    rows = evaluate(digits, slices=slices).as_result()["slices"]
    assert [(row["slice"], row["value"], row["examples"]) for row in rows[:2]] == [
        ("camera", "right", 400),
        ("camera", "left", 200),
    ]
    assert sum(row["examples"] for row in rows[2:]) == 600
    alone = evaluate(digits.of(np.arange(200)))
    assert rows[1]["metrics"] == alone.metrics
    assert rows[1]["intervals"]["accuracy"] == list(alone.intervals["accuracy"])
