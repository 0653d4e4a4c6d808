"""Shapley values of a few players, exactly: each player's mean marginal contribution over all orders of joining."""

from __future__ import annotations

from math import factorial

import numpy as np

from transfercli.evaluation.metrics.confusion import Array


def coalitions(players: int) -> np.ndarray:
    """Return all coalitions, bool [2^players, players]; player p is in coalition c if bit p of c is set."""
    return (np.arange(2**players)[:, None] >> np.arange(players) & 1).astype(bool)


def shapley_values(values: Array, players: int) -> Array:
    """Return the Shapley value of each player (Shapley 1953, "A value for n-person games"), float64 [players, R].

    values: float64 [2^players, R], the value of each coalition in the order of `coalitions`, in R resamples. The sum
    over the players is the value of all minus that of none.
    """
    member = coalitions(players)
    sizes = member.sum(axis=1)
    weights = np.array([factorial(size) * factorial(players - size - 1) for size in range(players)])
    found = np.zeros((players, values.shape[1]))
    for player in range(players):
        without = np.flatnonzero(~member[:, player])
        gains = values[without | 1 << player] - values[without]
        found[player] = weights[sizes[without]] @ gains / factorial(players)
    return found
