"""Temperature scaling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sk_log_loss

from transfercli.config.schema import AbstainConfig
from transfercli.evaluation.confidence.temperature import (
    SPREAD,
    calibrated,
    choose_temperature,
    fit_temperature,
    log_loss,
)
from transfercli.evaluation.confidence.trust import confidence_metrics, fit_trust

ACCURATE = AbstainConfig(accuracy=0.99)


def test_temperature_lowers_the_error_of_calibration_of_an_overconfident_model_and_changes_no_label(
    overconfident: tuple[np.ndarray, np.ndarray],
) -> None:
    logits, targets = overconfident
    fitted, held_out = slice(0, 300), slice(300, 600)
    trust = fit_trust(logits[fitted], targets[fitted], ACCURATE)
    assert trust.temperature == pytest.approx(3, rel=0.15)
    assessment = trust.assess(logits[held_out])
    found = confidence_metrics(assessment, logits[held_out], targets[held_out], trust)["calibration"]
    assert found["ece_after"] < 0.6 * found["ece_before"]
    assert found["log_loss_after"] < found["log_loss_before"]
    np.testing.assert_array_equal(assessment.probabilities.argmax(axis=1), logits[held_out].argmax(axis=1))


def test_the_fitted_temperature_is_the_best_of_a_fine_grid(overconfident: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = overconfident
    powers = np.linspace(-1, 3, 4001)
    prior = [(power / SPREAD) ** 2 / 2 / len(targets) for power in powers]
    best = np.argmin(
        [log_loss(logits, targets, np.exp(power)) + held for power, held in zip(powers, prior, strict=True)]
    )
    assert fit_temperature(logits, targets) == pytest.approx(np.exp(powers[best]), rel=1e-3)


def test_few_images_move_the_temperature_less_than_many_that_say_the_same(
    overconfident: tuple[np.ndarray, np.ndarray],
) -> None:
    logits, targets = overconfident
    few, many = logits[:20], np.tile(logits[:20], (50, 1))
    found = [fit_temperature(few, targets[:20]), fit_temperature(many, np.tile(targets[:20], 50))]
    assert 1.2 < found[0] < 0.9 * found[1]


def test_log_loss_agrees_with_scikit_learn(overconfident: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = overconfident
    for temperature in (1.0, 4.0):
        expected = sk_log_loss(targets, calibrated(logits, temperature), labels=np.arange(10))
        assert log_loss(logits, targets, temperature) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.floats(-60, 60, width=32), min_size=3, max_size=3), min_size=1, max_size=8),
    st.floats(0.05, 20),
)
def test_no_temperature_changes_a_label_in_float32_either(rows: list[list[float]], temperature: float) -> None:
    logits = np.array(rows)
    logits[0, 1] = np.nextafter(np.float32(logits[0, 0]), np.float32(100))  # one bit apart
    shares = calibrated(logits, temperature)
    np.testing.assert_array_equal(shares.argmax(axis=1), logits.argmax(axis=1))
    np.testing.assert_array_equal(shares.astype(np.float32).argmax(axis=1), logits.argmax(axis=1))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)


def test_without_a_mistake_a_model_becomes_as_sure_as_its_images_can_show_and_never_less_sure() -> None:
    targets = np.array([0, 1] * 20)
    timid = np.where(np.eye(2)[targets] > 0, 0.5, 0.0)
    temperature = fit_temperature(timid, targets)
    assert temperature < 0.5
    assert calibrated(timid, temperature).max(axis=1).mean() < 41 / 42
    surer = timid * 4  # here the rule of succession is what holds
    assert calibrated(surer, fit_temperature(surer, targets)).max(axis=1).mean() == pytest.approx(41 / 42, abs=1e-4)
    assert fit_temperature(timid * 100, targets) == 1.0


@pytest.fixture(scope="module")
def well_calibrated() -> tuple[np.ndarray, np.ndarray]:
    """Logits of 50,000 images and five classes, and targets drawn from their softmax."""
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.normal(size=(50_000, 5))
    steps = calibrated(logits, 1.0).cumsum(axis=1)
    return logits, (rng.random((len(steps), 1)) > steps).sum(axis=1).clip(max=4)


def _draw_of_90(number: int) -> slice:
    return slice(90 * number, 90 * (number + 1))


def test_a_calibrated_model_is_seldom_scaled_so_that_few_images_make_its_log_loss_no_worse(
    well_calibrated: tuple[np.ndarray, np.ndarray],
) -> None:
    logits, targets = well_calibrated
    held = slice(40_000, None)
    plain, worse = log_loss(logits[held], targets[held]), {"fitted": 0, "chosen": 0}
    for number in range(60):
        scaling = choose_temperature(logits[_draw_of_90(number)], targets[_draw_of_90(number)])
        for name, temperature in (("fitted", scaling.fitted), ("chosen", scaling.temperature)):
            worse[name] += log_loss(logits[held], targets[held], temperature) > plain + 1e-9
    assert worse["fitted"] > 45
    assert worse["chosen"] <= 6


@pytest.mark.parametrize("factor", [0.4, 2.5])
def test_an_over_or_under_confident_model_is_scaled(
    factor: float, well_calibrated: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, targets = well_calibrated
    found = [choose_temperature(factor * logits[_draw_of_90(n)], targets[_draw_of_90(n)]) for n in range(20)]
    assert sum(one.scaled for one in found) >= 19
    assert np.median([one.temperature for one in found]) == pytest.approx(factor, rel=0.2)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_the_gain_is_that_of_leaving_each_image_out(
    factor: float, well_calibrated: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, targets = factor * well_calibrated[0][:60], well_calibrated[1][:60]
    gains = []
    for image in range(60):
        rest = np.arange(60) != image
        fitted = fit_temperature(logits[rest], targets[rest])
        gains.append(log_loss(logits[~rest], targets[~rest]) - log_loss(logits[~rest], targets[~rest], fitted))
    scaling = choose_temperature(logits, targets)
    assert scaling.gain == pytest.approx(np.mean(gains), abs=4e-3)
    assert scaling.standard_error == pytest.approx(np.std(gains, ddof=1) / np.sqrt(60), rel=0.1)


def test_ten_photos_of_each_subject_prove_no_more_than_one(well_calibrated: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = 2 * well_calibrated[0][:12], well_calibrated[1][:12]
    subjects = np.repeat(np.arange(12), 10).astype(str).tolist()
    alone = choose_temperature(np.repeat(logits, 10, axis=0), np.repeat(targets, 10))
    grouped = choose_temperature(np.repeat(logits, 10, axis=0), np.repeat(targets, 10), subjects)
    assert grouped.standard_error > 2.5 * alone.standard_error
    assert choose_temperature(logits[:1], targets[:1]).temperature == 1.0
