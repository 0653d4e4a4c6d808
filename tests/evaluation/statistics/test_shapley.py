"""Shapley values: the mean over all orders in which players can join."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from transfercli.evaluation.statistics.shapley import coalitions, shapley_values


def test_each_player_gets_its_mean_gain_over_all_orders() -> None:
    values = np.random.default_rng(0).normal(size=(2**4, 3))
    orders = list(permutations(range(4)))
    expected = np.zeros((4, 3))
    for order in orders:
        coalition = 0
        for player in order:
            expected[player] += values[coalition | 1 << player] - values[coalition]
            coalition |= 1 << player
    found = shapley_values(values, 4)
    np.testing.assert_allclose(found, expected / len(orders))
    np.testing.assert_allclose(found.sum(axis=0), values[-1] - values[0])


def test_coalitions_count_their_players_in_bits() -> None:
    assert coalitions(2).tolist() == [[False, False], [True, False], [False, True], [True, True]]


def test_without_players_nothing_is_shared() -> None:
    assert coalitions(0).shape == (1, 0)
    assert shapley_values(np.ones((1, 5)), 0).shape == (0, 5)
