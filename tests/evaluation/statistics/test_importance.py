"""Importance of the keys of a search."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.evaluation.statistics.importance import FEWEST_TRIALS, SearchColumn, key_importances

pytest.importorskip("optuna")


def search(count: int, seed: int = 0, noise: float = 0.01) -> tuple[dict[str, SearchColumn], list[float]]:
    """Scores that follow from `rate`, a little from `base`, and not from `luck`."""
    random = np.random.default_rng(seed)
    rate, luck, base = random.random(count), random.random(count), random.integers(0, 3, count)
    scores = 0.8 - 0.3 * (rate - 0.6) ** 2 + 0.02 * (base == 1) + random.normal(0, noise, count)
    columns = {
        "luck": SearchColumn(luck.tolist()),
        "base": SearchColumn(base.tolist(), 3),
        "rate": SearchColumn(rate.tolist()),
    }
    return columns, scores.tolist()


def test_the_key_that_matters_is_first_and_one_without_effect_is_not_above_chance() -> None:
    found = {row.key: row for row in key_importances(*search(60), seed=0)}
    assert next(iter(found)) == "rate"
    assert found["rate"].beyond_chance
    assert not found["luck"].beyond_chance
    for row in found.values():
        low, high = row.interval
        assert 0.0 <= low <= row.share <= high <= 1.0


def test_the_same_seed_gives_the_same_numbers() -> None:
    assert key_importances(*search(10), seed=3) == key_importances(*search(10), seed=3)


def test_scores_without_any_effect_put_no_key_above_chance() -> None:
    columns, scores = search(30)
    noise = np.random.default_rng(1).permutation(scores).tolist()
    assert not any(row.beyond_chance for row in key_importances(columns, noise, seed=0))


def test_too_few_or_equal_scores_have_no_importance() -> None:
    assert key_importances(*search(FEWEST_TRIALS - 1), seed=0) == []
    columns, scores = search(20)
    assert key_importances(columns, [0.5] * len(scores), seed=0) == []


def test_a_key_with_one_value_has_no_importance() -> None:
    columns, scores = search(20)
    columns |= {"one": SearchColumn([0] * 20, 1), "same": SearchColumn([0.5] * 20)}
    found = {row.key: row.share for row in key_importances(columns, scores, seed=0)}
    assert found["one"] == found["same"] == 0.0
