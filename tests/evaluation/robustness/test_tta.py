from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import AugmentationConfig
from transfercli.evaluation.metrics.registry import METRICS
from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.robustness.tta import CROPS, View, average_views, trained_with_mirroring, tta_gain, views


def test_the_first_view_is_the_image_as_it_is(digit_images: np.ndarray) -> None:
    for mirrored, number in ((False, 6), (True, 12)):
        taken = views(mirrored)
        assert len(set(taken)) == len(taken) == number
        assert any(view.mirrored for view in taken) == mirrored
        np.testing.assert_array_equal(taken[0](digit_images), digit_images)


def test_a_mirror_image_swaps_left_and_right(digit_images: np.ndarray) -> None:
    for place in CROPS:
        seen, mirrored = View(place)(digit_images[:3]), View(place, True)(digit_images[:3])
        np.testing.assert_array_equal(mirrored, np.flip(seen, axis=2))


@pytest.mark.parametrize("place, rows, columns", [
    ("top left", slice(0, 14), slice(0, 28)), ("top right", slice(0, 14), slice(4, 32)),
    ("bottom left", slice(2, 16), slice(0, 28)), ("bottom right", slice(2, 16), slice(4, 32)),
    ("centre", slice(1, 15), slice(2, 30)),
])  # fmt: skip
def test_a_crop_is_seven_eighths_of_each_side_and_sees_nothing_else(place: str, rows: slice, columns: slice) -> None:
    image = np.full((16, 32, 3), 255, np.uint8)
    image[rows, columns] = 9
    assert (View(place)(image[None]) == 9).all()
    for grown in (slice(rows.start + 1, rows.stop), slice(rows.start, rows.stop - 1)):
        less = np.full_like(image, 255)
        less[grown, columns] = 9
        assert (View(place)(less[None]) > 9).any()


def test_crops_of_the_smallest_images_are_images() -> None:
    for view in views(True):
        assert view(np.zeros((2, 1, 3, 3), np.uint8)).shape == (2, 1, 3, 3)


@pytest.mark.parametrize("config, mirrored", [
    ({}, False), ({"preset": "none"}, False), ({"preset": "light"}, True), ({"preset": "strong"}, True),
    ({"layers": [{"RandomRotation": {"factor": 0.1}}]}, False),
    ({"layers": [{"RandomRotation": {"factor": 0.1}}, {"RandomFlip": {"mode": "horizontal"}}]}, True),
    ({"layers": [{"RandomFlip": {"mode": "vertical"}}]}, False),
    ({"layers": [{"RandomFlip": {"mode": "horizontal_and_vertical"}}]}, True),
    ({"layers": [{"RandomFlip": {}}]}, True),
])  # fmt: skip
def test_images_are_mirrored_only_where_the_training_mirrored_them(config: dict[str, Any], mirrored: bool) -> None:
    assert trained_with_mirroring(AugmentationConfig(**config)) == mirrored


def test_the_mean_of_the_image_alone_is_what_was_said_of_it(digits: Predictions) -> None:
    for others in ([], [digits.probabilities]):
        np.testing.assert_array_equal(average_views(digits, others).probabilities, digits.probabilities)
    found = tta_gain(digits, average_views(digits, []), views(False)[:1], 0)
    assert found["views"] == 1
    assert {gain["value"] for gain in found["gain"].values()} == {0.0}
    assert found["metrics"]["accuracy"] == (digits.predicted == digits.targets).mean()


def test_probabilities_are_averaged_not_votes() -> None:
    plain = Predictions(("a",), ("x", "y"), np.array([0]), np.array([[0.4, 0.6]]))
    mean = average_views(plain, (np.array([row]) for row in ([0.45, 0.55], [0.95, 0.05])))
    np.testing.assert_allclose(mean.probabilities, [[0.6, 0.4]])
    assert plain.probabilities[0, 0] == 0.4


def test_a_gain_is_positive_where_it_is_better_whatever_the_metric(make: Callable[..., Predictions]) -> None:
    targets = [0, 1, 2] * 20
    plain = make(targets, targets[:50] + [0] * 10, confidence=0.6)
    better = make(targets, targets[:55] + [0] * 5)
    found = tta_gain(plain, better, views(True), 0)
    assert (found["views"], found["mirrored"]) == (12, True)
    assert set(found["metrics"]) == set(found["gain"]) == set(METRICS)
    assert found["metrics"]["accuracy"] == pytest.approx(56 / 60)
    assert found["gain"]["accuracy"]["value"] == pytest.approx(3 / 60)
    low, high = found["gain"]["log_loss"]["interval"]
    assert 0 < low < found["gain"]["log_loss"]["value"] < high
    assert found["mcnemar"] == {"fixed": 3, "broken": 0, "p_value": 0.25}
    json.dumps(found, allow_nan=False)
