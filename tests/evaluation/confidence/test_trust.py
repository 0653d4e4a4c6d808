from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from sklearn.metrics import log_loss as sk_log_loss

from transfercli.config.schema import AbstainConfig
from transfercli.errors import ArtefactError
from transfercli.evaluation.confidence.selective import coverage_curve, threshold_for_accuracy, threshold_for_coverage
from transfercli.evaluation.confidence.temperature import SPREAD, calibrated, class_logits, fit_temperature, log_loss
from transfercli.evaluation.confidence.trust import (
    Trust,
    confidence_metrics,
    energies,
    fit_trust,
    read_trust,
    write_trust,
)
from transfercli.evaluation.predictions import Predictions

ACCURATE = AbstainConfig(accuracy=0.99)


@pytest.fixture(scope="module")
def overconfident(digits: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Logits three times too large, and targets drawn as the digits model says: its own probabilities are true."""
    steps = digits.probabilities.cumsum(axis=1)
    drawn = np.random.default_rng(0).random((len(steps), 1)) * steps[:, -1:]
    return 3 * np.log(digits.probabilities), (drawn > steps).sum(axis=1)


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


def test_a_sigmoid_head_is_two_columns_and_strange_where_neither_class_is_claimed() -> None:
    logits = np.array([[-8.0], [0.0], [8.0]], np.float32)
    np.testing.assert_allclose(calibrated(class_logits(logits), 1.0)[:, 1], 1 / (1 + np.exp(-logits[:, 0])), atol=1e-12)
    found = energies(class_logits(logits))
    assert found[0] == pytest.approx(found[2])
    assert found[1] > found[0]


def test_energy_is_minus_the_log_sum_of_exponentials() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 7)) * 100
    np.testing.assert_allclose(energies(logits), -logsumexp(logits, axis=1), atol=1e-9)


def test_one_in_twenty_validation_images_is_strange(overconfident: tuple[np.ndarray, np.ndarray]) -> None:
    logits, targets = overconfident
    trust = fit_trust(logits, targets, None)
    assert trust.assess(logits).strange.mean() == pytest.approx(0.05, abs=0.005)
    assert not trust.assess(logits).unsure.any()


CONFIDENCE = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
RIGHT = np.array([True, True, False, True, False])


def test_a_risk_coverage_curve_of_a_worked_example() -> None:
    curve = coverage_curve(CONFIDENCE, RIGHT)
    np.testing.assert_allclose(curve.coverage, [0.2, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(curve.accuracy, [1, 2 / 3, 3 / 4, 3 / 5])
    # Ranks 1 to 5; the two that are equally sure share their one mistake: right 1, 1.5, 2, 3, 3.
    assert curve.area == pytest.approx(np.mean([0, 1 - 1.5 / 2, 1 / 3, 1 / 4, 2 / 5]))
    assert curve.as_json()["coverage"] == pytest.approx([0.2, 0.6, 0.8, 1.0])


@pytest.mark.parametrize("wanted, threshold", [(1.0, 0.85), (0.75, 0.65), (0.7, 0.65), (0.6, 0.0)])
def test_the_threshold_for_an_accuracy_covers_as_much_as_can_be(wanted: float, threshold: float) -> None:
    assert threshold_for_accuracy(coverage_curve(CONFIDENCE, RIGHT), wanted) == pytest.approx(threshold)


@pytest.mark.parametrize("wanted, threshold", [(0.1, 0.85), (0.2, 0.85), (0.3, 0.75), (0.8, 0.65), (1.0, 0.0)])
def test_the_threshold_for_a_coverage_covers_at_least_that(wanted: float, threshold: float) -> None:
    assert threshold_for_coverage(coverage_curve(CONFIDENCE, RIGHT), wanted) == pytest.approx(threshold)


def test_where_no_confidence_is_accurate_enough_nothing_is_believed() -> None:
    logits = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    trust = fit_trust(logits, np.array([1, 0, 1]), ACCURATE)
    assert trust.confidence is None
    assessment = trust.assess(logits)
    assert assessment.abstained.all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = confidence_metrics(assessment, logits, np.array([1, 0, 1]), trust)
    assert found["abstention"]["coverage"] == 0
    assert found["abstention"]["accuracy"] is None
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("images", [1, 2])
def test_one_image_and_one_class_are_enough(images: int) -> None:
    trust = fit_trust(np.full((images, 3), [3.0, 0, 0]), np.zeros(images, int), ACCURATE)
    found = confidence_metrics(trust.assess(np.ones((1, 3))), np.ones((1, 3)), np.zeros(1, int), trust)
    json.dumps(found, allow_nan=False)


def test_a_run_without_one_is_neither_calibrated_nor_doubted(tmp_path: Path) -> None:
    assert read_trust(tmp_path / "calibration.json") is None
    logits = np.random.default_rng(0).normal(size=(5, 3))
    assessment = Trust().assess(logits)
    np.testing.assert_allclose(assessment.probabilities, calibrated(logits, 1.0))
    assert not assessment.abstained.any()
    found = confidence_metrics(assessment, logits, np.zeros(5, int), None)
    assert [found[key] for key in ("calibration", "abstention", "out_of_distribution")] == [None] * 3


def test_what_is_kept_is_read_again_and_damage_is_told(tmp_path: Path) -> None:
    place, trust = tmp_path / "calibration.json", Trust(1.5, {"coverage": 0.9}, 0.7, -3.0)
    write_trust(place, trust)
    assert asdict(read_trust(place)) == asdict(trust)
    for broken in ({"temperature": 0}, {"temperature": "hot"}, {"heat": 1}, [], {"energy": True}):
        place.write_text(json.dumps(broken))
        with pytest.raises(ArtefactError, match=r"calibration.json"):
            read_trust(place)
