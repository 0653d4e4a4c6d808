"""Weights with which the logits of several probes are added."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.transfer.probe.stacking import OutOfFoldLogits, choose_weights, equal, stacked


def logits_of(signals: list[float], images: int, seed: int = 0) -> OutOfFoldLogits:
    """Noise plus so much of the true class for each of several probes; three classes."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(3, size=images)
    each = [rng.standard_normal((images, 3)) + signal * np.eye(3)[targets] for signal in signals]
    return OutOfFoldLogits([logits.astype(np.float32) for logits in each], targets, np.ones(images))


def test_the_gradient_is_that_of_the_loss() -> None:
    found, shares = logits_of([1, 2], 50), np.array([0.3, 0.9])
    slopes = []
    for number in range(2):
        step = 1e-4 * np.eye(2)[number]
        slopes.append((found.loss(shares + step)[0] - found.loss(shares - step)[0]) / 2e-4)
    assert found.loss(shares)[1] == pytest.approx(slopes, rel=1e-4)


def test_a_probe_that_knows_nothing_loses_its_weight_once_images_show_it() -> None:
    few, many = stacked(logits_of([1.5, 0.0], 10)), stacked(logits_of([1.5, 0.0], 5000))
    assert many[1] < 0.05 < many[0]
    assert few[1] > many[1]  # near the equal weights of the prior


def test_perfect_logits_do_not_make_the_weights_infinite() -> None:
    weights = stacked(logits_of([40.0, 40.0], 20))
    assert (weights < 2).all()


def test_independent_probes_are_added_and_not_averaged() -> None:
    assert stacked(logits_of([1.0, 1.0, 1.0], 3000)).sum() == pytest.approx(3, rel=0.15)  # log odds add up
    assert stacked(logits_of([1.0, 1.0, 1.0], 3000), common=True) == pytest.approx([1] * 3, rel=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_the_chosen_weights_are_no_worse_in_other_folds_than_equal_ones(seed: int) -> None:
    found, fold_of = logits_of([1.0, 1.0, 0.5], 15, seed), np.arange(15) % 5
    weights, by_fold = choose_weights(found, fold_of)
    losses = [
        sum(found.part(fold_of == fold).loss(each)[0] for fold, each in enumerate(shares))
        for shares in (by_fold, np.tile(equal(3), (5, 1)))
    ]
    assert losses[0] <= losses[1]
    assert (weights >= 0).all()
