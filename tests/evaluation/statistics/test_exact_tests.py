"""Exact tests of a gain: binomial without groups, all sign flips of groups, random swaps for other metrics."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest

from transfercli.evaluation.predictions import Predictions
from transfercli.evaluation.statistics.clusters import cluster_indices, count_clusters
from transfercli.evaluation.statistics.exact_tests import gain_p_value, mcnemar, sign_flip_p_value


def pair(old: np.ndarray, new: np.ndarray, groups: tuple[str, ...] = ()) -> tuple[Predictions, Predictions]:
    """Predictions of two classes that are right where `old` and `new`, bool [N], are True."""
    paths, targets = tuple(f"{image}.png" for image in range(len(old))), np.arange(len(old)) % 2
    models = []
    for right in (old, new):
        predicted = np.where(right, targets, 1 - targets)
        models.append(Predictions(paths, ("a", "b"), targets, np.eye(2)[predicted] * 0.8 + 0.1, groups))
    return models[0], models[1]


def enumerated(nets: np.ndarray) -> float:
    """The share of all sign flips whose sum is at least that of `nets`."""
    sums = [int(np.dot(signs, np.abs(nets))) for signs in product((-1, 1), repeat=len(nets))]
    return float(np.mean(np.array(sums) >= nets.sum()))


@pytest.mark.parametrize("nets", [[3, -1, 2, 2], [10] * 4, [-4, 1, 1, 1], [5, 5, -7, 2, 1, 0], [1, 1, 1], [0]])
def test_the_p_value_counts_all_sign_flips_of_the_groups(nets: list[int]) -> None:
    assert sign_flip_p_value(np.array(nets)) == pytest.approx(enumerated(np.array(nets)), abs=1e-15)


def test_without_groups_the_p_value_is_the_binomial_one_also_far_below_one_in_a_thousand() -> None:
    old, new = np.zeros(60, bool), np.zeros(60, bool)
    new[:40], old[40:44] = True, True
    expected = binomtest(40, 44, alternative="greater").pvalue
    assert expected < 1e-7
    assert gain_p_value(*pair(old, new), "accuracy", 0) == expected
    assert gain_p_value(*pair(new, old), "accuracy", 0) == pytest.approx(1)


def test_ten_images_of_one_subject_are_one_piece_of_evidence() -> None:
    old, new = np.zeros(40, bool), np.ones(40, bool)
    groups = tuple(f"s{image // 10}" for image in range(40))
    assert gain_p_value(*pair(old, new, groups), "accuracy", 0) == 1 / 16
    assert mcnemar(np.full(4, 10)) == 1 / 8
    assert gain_p_value(*pair(old, new, groups), "log_loss", 0) == pytest.approx(1 / 16, rel=0.5)


def test_random_swaps_of_other_metrics_reach_one_in_a_hundred_thousand() -> None:
    old, new = np.zeros(60, bool), np.ones(60, bool)
    assert gain_p_value(*pair(old, new), "macro_f1", 0) == 1e-5
    assert gain_p_value(*pair(old, old), "macro_f1", 0) == 1


def test_an_image_without_a_group_is_a_cluster_of_its_own() -> None:
    assert cluster_indices(("x", "", "x", "")) is not None
    np.testing.assert_array_equal(cluster_indices(("x", "", "x", "")), [0, 1, 0, 2])
    assert cluster_indices(()) is None
    assert cluster_indices(("x", "y", "")) is None
    assert count_clusters(("x", "", "x", "")) == 3
    assert count_clusters(("x", "y")) == 2
    assert count_clusters(()) is None
    assert count_clusters(("", "")) is None


@pytest.mark.parametrize("fixed, broken, p_value", [(0, 0, 1), (5, 5, 1), (6, 0, 2 / 64), (1, 9, 2 * (1 + 10) / 1024)])
def test_mcnemars_exact_test_gives_worked_values(fixed: int, broken: int, p_value: float) -> None:
    assert mcnemar(np.repeat([1, -1], [fixed, broken])) == pytest.approx(p_value)
