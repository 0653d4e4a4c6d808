from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES, Corruption

DRAWN = {"noise", "rotation"}
EACH = pytest.mark.parametrize("row", CORRUPTIONS.values(), ids=list(CORRUPTIONS))


@pytest.fixture(scope="module")
def images(digit_images: np.ndarray) -> np.ndarray:
    """uint8 [24, 32, 32, 3]: digits, as a model of 32 pixels a side gets them."""
    return np.stack([np.asarray(Image.fromarray(image).resize((32, 32))) for image in digit_images[:24]])


@EACH
def test_what_is_drawn_follows_from_seed_severity_and_index(row: Corruption, images: np.ndarray) -> None:
    before, indices = images.copy(), np.arange(24)
    found = row.batch(images, indices, 3, 7)
    assert (found.dtype, found.shape) == (np.uint8, images.shape)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(row.batch(images[::-1], indices[::-1], 3, 7)[::-1], found)
    np.testing.assert_array_equal(row(images[5], 3, 7, 5), found[5])
    same = np.repeat(images[:1], 24, axis=0)
    for other in (row.batch(same, indices + 1, 3, 7), row.batch(same, indices, 3, 8)):
        assert (row.name in DRAWN) != np.array_equal(other, row.batch(same, indices, 3, 7))


@EACH
def test_a_higher_severity_changes_more(row: Corruption, images: np.ndarray) -> None:
    changes = [np.abs(row.batch(images, np.arange(24), s, 0).astype(int) - images).mean() for s in SEVERITIES]
    assert changes[0] > 0
    assert changes == sorted(changes)
    assert len(set(changes)) == 5


@EACH
def test_images_need_not_be_square_nor_large(row: Corruption, images: np.ndarray) -> None:
    for image in (images[0, :20], images[0, :, :20], images[0, :1, :1]):
        assert row(image, 5, 0, 0).shape == image.shape


def test_lengths_shrink_and_grow_with_the_shorter_side_and_nothing_else_does() -> None:
    assert [row.name for row in CORRUPTIONS.values() if row.in_pixels] == ["blur"]
    blur = CORRUPTIONS["blur"]
    assert [blur.parameter(5, size) for size in ((224, 224), (448, 900), (900, 56))] == [6, 12, 1.5]
    assert CORRUPTIONS["noise"].parameter(1, (56, 56)) == 0.08


@pytest.mark.parametrize("side, severity", [(32, 2), (32, 5), (112, 3), (224, 1), (224, 5)])
def test_the_blur_of_an_edge_has_the_deviation_that_the_table_says(side: int, severity: int) -> None:
    edge = np.zeros((side, side, 3), np.uint8)
    edge[:, side // 2 :] = 255
    blur = CORRUPTIONS["blur"]
    weights = np.diff(blur(edge, severity, 0, 0)[side // 2, :, 0].astype(float)) / 255
    places = np.arange(side - 1) - (side // 2 - 1)
    assert weights.sum() == pytest.approx(1)
    assert np.sqrt((weights * places**2).sum()) == pytest.approx(blur.parameter(severity, (side, side)), rel=0.05)


def test_noise_has_the_deviation_that_the_table_says() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    noisy = CORRUPTIONS["noise"](grey, 2, 0, 0).astype(float)
    assert noisy.std() / 255 == pytest.approx(0.12, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=1)
    other = CORRUPTIONS["noise"](grey, 3, 0, 0).astype(float)  # another draw, not the same one more strongly
    assert abs(np.corrcoef(noisy.ravel(), other.ravel())[0, 1]) < 0.05


def test_brightness_adds_to_the_value_and_keeps_the_hue() -> None:
    colours = np.array([[[200, 100, 50], [0, 0, 0], [30, 60, 90], [255, 255, 255]]], np.uint8)
    found = CORRUPTIONS["brightness"](colours, 2, 0, 0)
    for before, after in zip(colours[0] / 255, found[0], strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + 0.2, 1))
        np.testing.assert_allclose(after / 255, expected, atol=0.51 / 255)


def test_contrast_draws_all_colours_to_the_mean(images: np.ndarray) -> None:
    image = images[0].astype(float)
    found = CORRUPTIONS["contrast"](images[0], 1, 0, 0)
    mean = image.mean(axis=(0, 1))
    np.testing.assert_allclose(found, mean + 0.4 * (image - mean), atol=0.51)


def test_a_rotation_turns_to_both_sides_and_brings_no_black_corners() -> None:
    rotation = CORRUPTIONS["rotation"]
    grey = np.full((40, 60, 3), 77, np.uint8)
    assert (rotation(grey, 5, 0, 0) == 77).all()
    bar = np.zeros((61, 61, 3), np.uint8)
    bar[:, 28:33] = 255
    tops = []
    for index in range(12):
        rows, columns = np.nonzero(rotation(bar, 4, 0, index)[..., 0] > 128)
        slope = np.polyfit(rows[abs(rows - 30) < 20], columns[abs(rows - 30) < 20], 1)[0]
        assert abs(np.degrees(np.arctan(slope))) == pytest.approx(20, abs=1)
        tops.append(slope > 0)
    assert {True, False} == set(tops)


def test_the_docs_name_each_corruption_with_its_parameters() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "guides" / "evaluate.md").read_text("utf-8")
    for row in CORRUPTIONS.values():
        values = ", ".join(f"{value:g}" for value in row.parameters)
        assert any(f"`{row.name}`" in line and values in line for line in docs.splitlines()), row.name
