"""The drift tests on real digits: quiet where nothing has changed, loud where something has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.digits import Digits
from transfercli.evaluation.statistics import shift_tests as module
from transfercli.evaluation.statistics.shift_tests import (
    ModelOutputs,
    auc_lower_bound,
    class_mix_test,
    classifier_test,
    detect_shift,
    mmd_test,
    sample_indices,
)

TESTS = ("classifier", "mmd", "class_mix", "confidence")


@pytest.fixture(scope="module")
def classified(digits: Digits) -> Any:
    """Pixels [1797, 64], a model's probabilities for them (it learnt from 200 others), and their classes."""
    pixels, classes = digits.features, digits.labels
    model = LogisticRegression(max_iter=300).fit(pixels[:200], classes[:200])
    return pixels[200:], model.predict_proba(pixels[200:]), classes[200:], model


def seen(classified: Any, rows: np.ndarray) -> ModelOutputs:
    return ModelOutputs(classified[0][rows], classified[1][rows])


@pytest.mark.slow
def test_two_random_halves_reject_as_often_as_they_may(classified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PERMUTATIONS", 199)
    rng, found = np.random.default_rng(0), []
    for number in range(200):
        rows = rng.permutation(len(classified[0]))[:160]
        result = detect_shift(seen(classified, rows[:100]), seen(classified, rows[100:]), number)
        found.append([*(result["tests"][name]["p_value"] for name in TESTS), result["drifted"], result["score"] > 0])
    values = np.array(found)
    # 10 of 200 are expected at 5%: 19 or more come in 1 of 200 suites, 2 or fewer in 1 of 400, were the seed not fixed
    rejected = (values[:, :4] <= 0.05).sum(axis=0)
    assert (rejected <= 18).all(), rejected
    assert (rejected[:3] >= 3).all(), rejected
    assert 0.4 < values[:, :2].mean() < 0.6
    assert values[:, 4].sum() <= 18
    assert values[:, 5].sum() <= 18


@pytest.mark.parametrize("change", ["inverted", "brightened", "other classes"])
def test_a_real_shift_is_found(classified: Any, change: str) -> None:
    pixels, probabilities, classes, model = classified
    rows = np.random.default_rng(1).permutation(len(pixels))
    old, new = rows[:500], rows[500:600]
    if change == "other classes":
        old, new = old[classes[old] < 5], new[classes[new] >= 5]
        recent = ModelOutputs(pixels[new], probabilities[new])
    else:
        shifted = 16 - pixels[new] if change == "inverted" else np.minimum(16, pixels[new] + 4)
        recent = ModelOutputs(shifted, model.predict_proba(shifted))
    result = detect_shift(ModelOutputs(pixels[old], probabilities[old]), recent, 0)
    assert result["drifted"] is True
    assert result["score"] > 0.4
    assert result["tests"]["classifier"]["p_value"] < 0.001
    assert result["tests"]["mmd"]["p_value"] == pytest.approx(0.001)


def test_the_same_seed_gives_the_same_numbers(classified: Any) -> None:
    sides = seen(classified, np.arange(100)), seen(classified, np.arange(100, 180))
    assert detect_shift(*sides, 3) == detect_shift(*sides, 3)


def test_few_images_prove_nothing_and_break_nothing(classified: Any) -> None:
    for images in (1, 2, 3):
        result = detect_shift(seen(classified, np.arange(100)), seen(classified, np.arange(200, 200 + images)), 0)
        assert result["score"] == 0
        assert result["tests"]["classifier"] == {"accuracy": None, "auc": None, "auc_lower": None, "p_value": 1.0}
    assert mmd_test(classified[0][:50], classified[0][50:51], 0) == {"value": None, "p_value": 1.0}


def test_features_that_are_all_alike_have_not_drifted() -> None:
    same = np.ones((30, 4), np.float32)
    assert classifier_test(same, same, 0).auc == 0.5
    assert mmd_test(same, same, 0)["p_value"] == 1.0


def test_the_mmd_is_that_of_its_definition(classified: Any) -> None:
    old, new = classified[0][:7], classified[0][7:12] + 3
    both = np.concatenate([old, new])
    squares = ((both[:, None] - both[None]) ** 2).sum(axis=2)
    kernel = np.exp(-squares / np.median(squares[np.triu_indices(12, 1)]))
    within = [(part.sum() - len(part)) / (len(part) * (len(part) - 1)) for part in (kernel[:7, :7], kernel[7:, 7:])]
    assert mmd_test(old, new, 0)["value"] == pytest.approx(sum(within) - 2 * kernel[:7, 7:].mean())


def test_the_class_mix_is_that_of_the_table() -> None:
    from scipy.stats import chi2_contingency

    eye = np.eye(3)
    old, new = eye[[0] * 30 + [1] * 20 + [2] * 10], eye[[0] * 10 + [1] * 10 + [2] * 20]
    found = class_mix_test(old, new, 0)
    assert found["chi_square"] == pytest.approx(chi2_contingency([[30, 20, 10], [10, 10, 20]]).statistic)
    assert found["total_variation"] == pytest.approx(1 / 3)
    assert found["psi"] > 0.25
    assert found["recent"] == [0.25, 0.25, 0.5]


def test_the_bound_of_an_auc_is_careful_where_few_images_are_told_apart_without_fault() -> None:
    assert 0.5 < auc_lower_bound(1.0, 5) < 0.7
    assert 0.99 < auc_lower_bound(1.0, 1000) < 1
    assert auc_lower_bound(0.5, 100) < 0.5


def test_a_sample_is_bounded_rising_and_the_same_every_time() -> None:
    rows = sample_indices(20_000, 2000, 7)
    assert len(np.unique(rows)) == 2000
    assert (np.diff(rows) > 0).all()
    assert (rows == sample_indices(20_000, 2000, 7)).all()
    assert sample_indices(5, 2000, 7).tolist() == [0, 1, 2, 3, 4]


def test_the_rounding_of_a_constant_feature_is_no_shift(classified: Any) -> None:
    rows = np.random.default_rng(0).permutation(len(classified[0]))[:600]
    old, new = (classified[0][half].astype(np.float32) for half in np.split(rows, 2))
    before = classifier_test(old, new, 0)
    constant = np.full((300, 1), 0.1, np.float32)
    found = classifier_test(np.hstack([old, constant]), np.hstack([new, np.nextafter(constant, np.float32(1))]), 0)
    assert found.auc == pytest.approx(before.auc, abs=1e-3)
