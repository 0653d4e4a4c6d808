"""Known shifts, their signals, and the process that learns from them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.monitoring.digit_answers import RECENT, answers, changed, held_out, pixels
from transfercli.evaluation.monitoring.known_shifts import KNOWN_SHIFTS
from transfercli.evaluation.monitoring.shift_process import MIX, ShiftProcess, without_own_kind
from transfercli.evaluation.monitoring.shift_signals import ShiftSignals
from transfercli.evaluation.robustness.corruptions import CORRUPTIONS, SEVERITIES

DISTANCE = 3  # from neighbours, among the signals of a set


@pytest.mark.parametrize("kind", KNOWN_SHIFTS)
@pytest.mark.parametrize("shape", [(16, 16, 3), (37, 20, 3)])
def test_every_known_shift_changes_an_image_in_the_same_way_each_time_and_keeps_its_shape(
    kind: str, shape: tuple[int, int, int]
) -> None:
    image = np.random.default_rng(1).integers(30, 220, shape).astype(np.uint8)
    for severity in SEVERITIES:
        result = KNOWN_SHIFTS[kind](image, severity, 0, 7)
        assert (result.shape, result.dtype) == (shape, np.uint8)
        assert np.array_equal(result, KNOWN_SHIFTS[kind](image, severity, 0, 7))
        assert not np.array_equal(result, image)


def test_the_corruptions_of_evaluate_are_among_the_known_shifts() -> None:
    assert set(CORRUPTIONS) < set(KNOWN_SHIFTS)


def test_signals_are_near_zero_without_a_shift_and_the_distance_grows_with_a_corruption() -> None:
    signals, own = ShiftSignals.fit(held_out().answers)
    assert np.abs(own.mean(axis=0)).max() < 0.1
    none = signals.of_set(answers(pixels()[RECENT]))
    assert np.abs(none).max() < 0.6
    distances = [signals.of_set(answers(changed(RECENT, "noise", severity)))[DISTANCE] for severity in (1, 3, 5)]
    assert none[DISTANCE] < distances[0] < distances[1] < distances[2]


def test_an_image_is_no_neighbour_of_its_own() -> None:
    signals, _ = ShiftSignals.fit(held_out().answers)
    features = held_out().answers.features
    own, as_others = (signals.space.distances(features, own=flag)[:, 0] for flag in (True, False))
    assert (own > as_others).all()


def test_the_process_has_no_correction_without_a_shift_and_is_unsure_far_away() -> None:
    rng = np.random.default_rng(0)
    signals = rng.normal(0, 1, (60, 4))
    process = ShiftProcess.fit(signals, -signals[:, 0])
    expected, deviations = process.at(np.array([[0.0] * 4, [1.0, 0, 0, 0], [9.0, 9, 9, 9]]))
    assert expected[0] == pytest.approx(0.0, abs=1e-9)
    assert expected[1] == pytest.approx(-1.0, abs=0.25)
    assert deviations[0] < deviations[1] < deviations[2]


def test_left_out_corrections_know_nothing_of_their_own_kind() -> None:
    rng = np.random.default_rng(0)
    signals, kinds = rng.normal(0, 1, (40, 3)), ["a"] * 10 + ["b"] * 10 + [MIX] * 20
    corrections = signals.sum(axis=1)
    before, _ = without_own_kind(signals, corrections, kinds)
    corrections[:10] += 100.0
    after, _ = without_own_kind(signals, corrections, kinds)
    assert after[:10] == pytest.approx(before[:10])
    assert np.abs(after[10:20] - before[10:20]).max() > 1
