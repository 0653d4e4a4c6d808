"""Forecasts of what labels buy: against curves whose law is known, and against what happened on real digits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tests.digits import Digits
from transfercli.reporting import Reporter
from transfercli.rows import ArrayRows
from transfercli.transfer.labelling import learning_curve as curves
from transfercli.transfer.labelling.forecast import forecast
from transfercli.transfer.labelling.learning_curve import LearningCurve, learning_curve, sampled
from transfercli.transfer.probe.probe import solve


def curve_of(error: float, floor: float, exponent: float, images: int = 1000, noise: float = 0.004) -> LearningCurve:
    """A curve that follows the power law from `error` at all images."""
    sizes = np.geomspace(0.1, 0.8, 6) * images
    errors = error * (floor + (1 - floor) * (sizes / images) ** -exponent)
    return LearningCurve(images, 10, images, 1.0, sizes, errors, np.full((6, 6), noise**2))


@pytest.mark.parametrize("floor, exponent", [(0.2, 0.5), (0.5, 0.4), (0.0, 0.3)])
def test_a_power_law_is_extrapolated(floor: float, exponent: float) -> None:
    found = forecast(curve_of(0.2, floor, exponent), seed=0)
    for labels in (500, 1000, 5000):
        truth = 0.2 * (1 - floor) * (1 - (1 + labels / 1000) ** -exponent)
        gain = found.gain(labels)
        assert gain.low < truth < gain.high
        assert gain.gain == pytest.approx(truth, abs=0.02)


def test_more_labels_buy_more_and_the_interval_grows() -> None:
    found = forecast(curve_of(0.3, 0.3, 0.5), seed=0)
    gains = [found.gain(labels) for labels in (1, 10, 100, 1000, 10000)]
    assert [gain.gain for gain in gains] == sorted(gain.gain for gain in gains)
    assert [gain.high - gain.low for gain in gains] == sorted(gain.high - gain.low for gain in gains)
    assert all(gain.low <= gain.gain <= gain.high for gain in gains)
    assert gains[0].gain < 0.001


def test_labels_for_a_target_are_those_of_the_law_and_an_impossible_target_has_none() -> None:
    found = forecast(curve_of(0.2, 0.1, 0.5, noise=0.001), seed=0)
    middle, low, high = found.labels_for(0.86, most_times=100)
    truth = 1000 * (((0.7 - 0.1) / 0.9) ** (-1 / 0.5) - 1)
    assert middle is not None
    assert low is not None
    assert high is not None
    assert low <= truth <= high
    assert 0.5 * truth < middle < 2 * truth
    assert found.labels_for(0.5, 100) == (0, 0, 0)  # reached already
    assert found.labels_for(0.9999, 100)[0] is None


def test_the_same_seed_gives_the_same_forecast_and_more_noise_a_wider_interval() -> None:
    sure, unsure = curve_of(0.2, 0.3, 0.5), curve_of(0.2, 0.3, 0.5, noise=0.05)
    assert forecast(sure, 1).gain(500) == forecast(sure, 1).gain(500)
    width = [forecast(curve, 1).accuracy[2] - forecast(curve, 1).accuracy[1] for curve in (sure, unsure)]
    assert width[0] < width[1]


def test_a_single_point_is_enough_for_a_wide_forecast() -> None:
    point = LearningCurve(40, 4, 40, 1.0, np.array([30.0]), np.array([0.3]), np.array([[0.005]]))
    gain = forecast(point, 0).gain(40)
    assert 0 < gain.gain < 0.2
    assert gain.low < 0 < gain.high


@pytest.mark.parametrize("targets", [[0, 1, 2], [1, 1, 1, 1], [0]])
def test_there_is_no_curve_without_two_classes_or_with_one_image_of_each(targets: list[int]) -> None:
    features = np.random.default_rng(0).normal(size=(len(targets), 3)).astype("float32")
    assert learning_curve(features, np.array(targets), len(targets), 10.0, 0, Reporter()) is None


@pytest.mark.parametrize("per_class", [[2, 2, 2], [1, 5, 9], [1, 1, 2], [30, 2, 1]])
def test_curves_of_few_and_uneven_images_are_finite(per_class: list[int]) -> None:
    targets = np.repeat(np.arange(len(per_class)), per_class)
    features = np.random.default_rng(0).normal(size=(len(targets), 5)).astype("float32") + targets[:, None]
    curve = learning_curve(features, targets, len(targets), 10.0, 0, Reporter())
    assert curve is not None
    gain = forecast(curve, 0).gain(10)
    assert np.isfinite([gain.gain, gain.low, gain.high]).all()


def test_training_sets_are_nested_hold_each_class_and_leave_out_what_is_tested() -> None:
    targets = np.repeat(np.arange(4), [20, 10, 6, 1])
    subsets, held_out = curves._subsets(targets, np.random.default_rng(0))
    for smaller, larger in pairwise(subsets):
        assert not (smaller & ~larger).any()
    assert not (subsets & held_out[None]).any()
    for each in subsets.reshape(-1, len(targets)):
        assert np.bincount(targets[each], minlength=4)[:3].all()


def test_many_images_are_sampled_reproducibly() -> None:
    rows = sampled(10**5, 3)
    assert len(rows) == curves.MOST_IMAGES == len({*rows.tolist()})
    assert rows.tolist() == sampled(10**5, 3).tolist()
    assert sampled(7, 0).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_intervals_hold_what_happened_on_digits(digits: Digits) -> None:
    shuffled = np.random.default_rng(9).permutation(len(digits.labels))  # the writers of the last ones are others
    features, targets = digits.features[shuffled].astype("float32") / 16, digits.labels[shuffled]

    def accuracy(rows: np.ndarray) -> float:
        probe = solve(ArrayRows(features[rows]), targets[rows], 10, class_weights=None, seed=0, reporter=Reporter())
        return float(((features[900:] @ probe.kernel + probe.bias).argmax(axis=1) == targets[900:]).mean())

    held = []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(900)
        labelled = np.concatenate([order[targets[order] == digit][:6] for digit in range(10)])
        order = np.concatenate([labelled, order[~np.isin(order, labelled)]])
        curve = learning_curve(features[order[:60]], targets[order[:60]], 60, 10.0, seed, Reporter())
        assert curve is not None
        found, before = forecast(curve, seed), accuracy(order[:60])
        for labels in (60, 240):
            gain, truth = found.gain(labels), accuracy(order[: 60 + labels]) - before
            held.append(gain.low <= truth <= gain.high)
    assert np.mean(held) >= 0.9
