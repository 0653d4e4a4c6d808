"""Heads on subsets of images are those that a probe of each subset alone would be."""

from __future__ import annotations

import numpy as np
import pytest

from tests.transfer.probe.probes import examples, reference
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.row_space import coordinates
from transfercli.transfer.probe.subsets import solve_subsets


def solved(weights: np.ndarray, strength: float = 10.0) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    features, targets = examples(4)
    found = dict(solve_subsets(features, targets, weights, features, strength, Reporter()))
    assert sorted(found) == list(range(len(weights)))
    return features, targets, [found[number] for number in range(len(weights))]


def test_each_head_is_scikit_learns_on_the_images_of_its_subset() -> None:
    features, targets = examples(4)
    chosen = np.random.default_rng(0).random((3, len(targets))) < 0.6
    _, _, found = solved(chosen.astype(float))
    scale = coordinates(ArrayRows(features)).scale
    for subset, probabilities in zip(chosen, found, strict=True):
        own = coordinates(ArrayRows(features[subset])).scale
        # The penalty is on coordinates scaled by all images, a probe's by those it is solved on.
        expected = reference(features[subset], targets[subset], 10.0 * (own / scale) ** 2)
        assert abs(probabilities[subset] - expected).max() < 2e-3


def test_a_class_without_images_gets_no_probability() -> None:
    _, targets = examples(4)
    weights = np.stack([np.ones(len(targets)), (targets != 3).astype(float), (targets == 1).astype(float)])
    _, _, (every, three, one) = solved(weights)
    assert (every > 0).all()
    assert (three[:, 3] == 0).all()
    assert (three[:, :3] > 0).all()
    assert np.array_equal(one, np.tile([0.0, 1, 0, 0], (len(targets), 1)))


def test_an_empty_subset_prefers_no_class() -> None:
    _, targets = examples(4)
    _, _, (empty,) = solved(np.zeros((1, len(targets))))
    assert np.array_equal(empty, np.full((len(targets), 4), 0.25))


def test_only_the_ratios_of_weights_matter() -> None:
    _, targets = examples(4)
    weights = np.where(targets == 0, 3.0, 1.0)
    _, _, (one, eight) = solved(np.stack([weights, 8 * weights]))
    assert one == pytest.approx(eight, abs=1e-3)
