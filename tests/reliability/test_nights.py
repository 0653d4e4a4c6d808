"""Months of nights with challengers of known quality, by the simulation of `benchmarks.nights`."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.nights import Images, power, simulate_year

RULES = ["today", "pooled"]


@pytest.mark.parametrize("flips", [False, True], ids=["difficulty", "flips"])
def test_in_a_month_of_equal_challengers_a_false_promotion_is_rare(flips: bool) -> None:
    images = Images(np.random.default_rng(0), 150, 200, 200, flips)
    found = {name: summaries[30] for name, summaries in simulate_year(RULES, images, 0.0, nights=30).items()}
    assert found["today"]["any"] > 0.25
    assert found["today"]["inflation"] > 1.0
    assert found["pooled"]["any"] <= 0.02
    assert abs(found["pooled"]["inflation"]) < 0.6
    assert abs(found["pooled"]["audit"]) < 1.2  # 40 images: their own noise, and no bias


def test_a_gain_of_five_points_is_found_as_often_as_promised() -> None:
    found = power(RULES, Images(np.random.default_rng(0), 150, 400, 400), nights=30)
    for night in (1, 30):
        assert found["pooled"][night, 0.05][0] >= 0.8 * found["today"][night, 0.05][0]
        assert found["pooled"][night, 0.05][1] >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("flips", [False, True], ids=["difficulty", "flips"])
def test_in_a_year_of_challengers_one_point_worse_no_champion_is_worse(flips: bool) -> None:
    images = Images(np.random.default_rng(1), 100, 200, 200, flips)
    found = {name: summaries[365] for name, summaries in simulate_year(RULES, images, -0.01).items()}
    assert found["today"]["any"] > 0.4
    assert found["pooled"]["any"] <= 0.05
    assert found["pooled"]["lower"] == 0
