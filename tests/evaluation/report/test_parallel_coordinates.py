"""Axes and lines of parallel coordinates."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import pytest

from tests.evaluation.page_reading import Page
from transfercli.evaluation.report.search.parallel_coordinates import CoordinateLine, SearchAxis, parallel_coordinates

RATE = SearchAxis("training.optimizer.learning_rate", "log", 1e-5, 1e-1)
LAYERS = SearchAxis("model.head.hidden", "choice", choices=([], [64], {"preset": "light"}))


def heights(axes: list[SearchAxis], *values: Any, rank: float | None = 1.0) -> list[float]:
    """The height of a line on each axis, in drawing units from the top."""
    page = Page(str(parallel_coordinates(axes, [CoordinateLine(0, values, rank, "one")], "label")))
    path = next(path["d"] for path in page.all("path") if path.get("id") == "line-0")
    return [float(y) for y in re.findall(r" (\d+\.\d)", str(path))]


@pytest.mark.parametrize("value, share", [(1e-5, 0), (1e-3, 0.5), (1e-1, 1), (1, 1), (0, None), (True, 1)])
def test_every_factor_has_the_same_length_on_a_logarithmic_axis(value: float, share: float | None) -> None:
    assert RATE.share(value) == pytest.approx(share)


@pytest.mark.parametrize("value", [None, "text", math.nan, math.inf, [1], {}])
def test_a_value_that_is_no_number_is_not_on_an_axis_of_numbers(value: Any) -> None:
    assert RATE.share(value) is None


def test_a_choice_is_found_by_its_value_and_an_unknown_one_leaves_a_gap() -> None:
    assert [LAYERS.share(value) for value in ([], [64], {"preset": "light"})] == pytest.approx([1 / 6, 3 / 6, 5 / 6])
    assert LAYERS.share([65]) is None
    assert len(heights([RATE, LAYERS, RATE], 1e-3, [65], 1e-3)) == 2


def test_a_better_trial_is_higher_within_a_choice() -> None:
    (best,), (worst,) = heights([LAYERS], [64]), heights([LAYERS], [64], rank=0.0)
    assert best < worst


def test_an_axis_can_have_its_lowest_value_on_top() -> None:
    loss = SearchAxis("val_loss", "linear", 2.0, 0.5)
    assert loss.share(0.5) == 1.0
    assert loss.share(2.0) == 0.0
    assert {text for _, text in loss.ticks()} >= {"1", "2"}


@pytest.mark.parametrize(
    "axis, labels",
    [
        (RATE, ["1e-05", "0.0001", "0.001", "0.01", "0.1"]),
        (SearchAxis("a", "log", 0.3, 0.9), ["0.5"]),
        (SearchAxis("a", "log", 0.6, 0.9), ["0.6", "0.9"]),
        (SearchAxis("a", "linear", 2, 5), ["2", "3", "4", "5"]),
        (SearchAxis("a", "linear", 3, 3), ["3", "3"]),
        (LAYERS, ["[]", "[64]", "preset light"]),
    ],
)
def test_ticks_are_round_numbers_or_choices(axis: SearchAxis, labels: list[str]) -> None:
    assert [text for _, text in axis.ticks()] == labels


def test_long_choices_that_begin_alike_are_numbered() -> None:
    axis = SearchAxis("a", "choice", choices=("a-very-long-name-1", "a-very-long-name-2", "short"))
    assert axis.labels() == ["1 a-very-lo…", "2 a-very-lo…", "short"]


def test_ten_keys_fit_beside_one_another() -> None:
    axes = [SearchAxis(f"model.key_{number}", "linear", 0, 1) for number in range(11)]
    picture = parallel_coordinates(axes, [CoordinateLine(0, (0.5,) * 11, None, "<b>")], 'a "label"')
    page = Page(str(picture))
    assert page.all("svg")[0]["aria-label"] == 'a "label"'
    assert page.all("svg")[0]["class"] == "chart parallel narrow"
    assert "<b>" in page.words
    places = [float(str(line["x1"])) for line in page.all("line") if line["class"] == "axis"]
    assert len({round(b - a) for a, b in pairwise(places)}) == 1
