"""Confident learning: out-of-fold probabilities, and labels that they contradict."""

from __future__ import annotations

import numpy as np

from transfercli.data.quality.confident_learning import cross_validated, find_suspects
from transfercli.reporting import Reporter


def test_confidence_counts_by_each_class_s_own_threshold() -> None:
    chances = np.array(
        [
            [0.9, 0.1, 0.0],  # the mean of class 0 is (0.9 + 0.5 + 0.1) / 3 = 0.5
            [0.5, 0.5, 0.0],
            [0.1, 0.5, 0.4],  # confidently of class 1, whose threshold is 0.35
            [0.6, 0.4, 0.0],  # confidently of 0 and of 1: the likelier counts
            [0.45, 0.3, 0.25],  # of no class confidently
        ]
    )
    rows, guesses = find_suspects(chances, np.array([0, 0, 0, 1, 1]))
    assert rows.tolist() == [2, 3]
    assert guesses.tolist() == [1, 0]


def test_a_class_that_the_other_folds_lack_is_taken_at_its_word() -> None:
    features = np.array([[0.0], [0.1], [1.0], [1.1], [5.0]])
    targets, folds = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    chances = cross_validated(features, targets, folds, Reporter())
    assert chances[4].tolist() == [0, 0, 1]
    assert not (chances[:4] == 1).any()
    assert np.allclose(chances.sum(axis=1), 1)
