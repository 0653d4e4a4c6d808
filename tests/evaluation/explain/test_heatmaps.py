from __future__ import annotations

import numpy as np

from transfercli.evaluation.explain.heatmaps import normalised, overlaid, resized


def test_hot_places_are_bright_and_cold_ones_are_the_faded_image() -> None:
    image = np.full((8, 8, 3), (10, 120, 60), np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[2, 5] = 1
    picture = overlaid(image, heat)
    grey = (np.array([10, 120, 60]) @ np.array([0.299, 0.587, 0.114]) * 0.75).round()
    assert (picture[7, 0] == grey).all()
    assert picture[2, 5].sum() > picture[7, 0].sum() + 100
    assert picture.dtype == np.uint8
    assert picture.shape == image.shape


def test_a_coarse_heat_is_spread_over_the_image() -> None:
    large = resized(np.array([[1, 0], [0, 0]], np.float32), (40, 20))
    assert large.shape == (40, 20)
    assert large[0, 0] == 1
    assert large[-1, -1] == 0
    assert (np.diff(large[:, 0]) <= 0).all()


def test_the_hottest_place_is_one_and_an_even_heat_stays() -> None:
    heats = normalised(np.array([[[0, 4], [2, 0]], [[0, 0], [0, 0]]], np.float32))
    assert heats.tolist() == [[[0, 1], [0.5, 0]], [[0, 0], [0, 0]]]


def test_a_heat_that_is_not_finite_counts_as_none() -> None:
    heats = normalised(np.array([[[np.inf, 4], [np.nan, 2]]], np.float32))
    assert heats.tolist() == [[[0, 1], [0, 0.5]]]
