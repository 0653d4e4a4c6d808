"""Calibration per label: simulations with known truth, from 20 to 1000 images."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.evaluation.multilabel.calibration import LabelScaling, fit_calibration
from transfercli.models.tasks.calibration import Calibration

SEPARATION = 2.5  # of the two normal distributions of a label's score


def drawn(
    rng: np.random.Generator, images: int, shares: np.ndarray, scale: float = 1.0, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and targets of labels with these shares of positives.

    scale: of the true logits; shift: 1 for logits of a model whose positives weigh as much as its negatives.
    """
    targets = (rng.random((images, len(shares))) < shares).astype(np.int32)
    odds = np.log(shares / (1 - shares))
    true = SEPARATION * (rng.normal(size=targets.shape) + SEPARATION * targets) - SEPARATION**2 / 2 + odds
    return (true - shift * odds) * scale, targets


def log_loss(logits: np.ndarray, targets: np.ndarray, calibration: Calibration | None = None) -> float:
    values = calibration.of(logits) if calibration else logits
    return float((np.logaddexp(0, values) - targets * values).mean())


def changes(images: int, draws: int, **how: float) -> np.ndarray:
    """Return the change of the log loss of new images by the calibration, for each of some draws."""
    rng, result = np.random.default_rng(0), []
    for _ in range(draws):
        shares = np.exp(rng.uniform(np.log(0.01), np.log(0.5), 6))
        calibration, _ = fit_calibration(*drawn(rng, images, shares, **how))
        logits, targets = drawn(rng, 2000, shares, **how)
        result.append(log_loss(logits, targets, calibration) / log_loss(logits, targets) - 1)
    return np.array(result)


@pytest.mark.parametrize("images", [20, 100, 1000])
def test_the_log_loss_of_calibrated_models_hardly_rises(images: int) -> None:
    assert changes(images, 40 if images < 1000 else 10).mean() < (0.03 if images == 20 else 0.01)


@pytest.mark.parametrize("how", [{"scale": 2.0}, {"shift": 1.0}, {"scale": 1.5, "shift": 0.8}], ids=str)
@pytest.mark.parametrize("images", [20, 100])
def test_the_log_loss_of_others_falls(how: dict[str, float], images: int) -> None:
    found = changes(images, 30, **how)
    assert found.mean() < (-0.04 if images == 20 else -0.15)


def test_class_weights_are_undone_for_each_label() -> None:
    """Labels of other frequencies need other offsets, and 2000 images show them."""
    shares = np.array([0.02, 0.1, 0.4])
    calibration, decisions = fit_calibration(*drawn(np.random.default_rng(0), 2000, shares, shift=1.0))
    np.testing.assert_allclose(calibration.offset, np.log(shares / (1 - shares)), atol=0.5)
    assert {decision.source for decision in decisions} <= {"own", "common"}


def test_unknown_labels_take_no_part() -> None:
    rng = np.random.default_rng(0)
    logits, targets = drawn(rng, 400, np.full(3, 0.3), scale=2.0)
    unknown = rng.random(targets.shape) < 0.4
    targets[unknown] = -1
    expected, _ = fit_calibration(logits, targets)
    for value in (-50.0, 50.0):
        found, _ = fit_calibration(np.where(unknown, value, logits), targets)
        np.testing.assert_array_equal([found.scale, found.offset], [expected.scale, expected.offset])


def test_groups_are_left_out_as_a_whole() -> None:
    """Copies of an image say nothing new: with groups, they do not make a gain certain."""
    rng = np.random.default_rng(3)
    logits, targets = (values.repeat(40, axis=0) for values in drawn(rng, 25, np.full(2, 0.4), scale=1.3))
    errors = []
    for groups in ((), tuple(str(image // 40) for image in range(len(logits)))):
        _, decisions = fit_calibration(logits, targets, groups)
        errors.append(decisions[0].standard_error)
    assert errors[1] > 2 * errors[0]


def test_rankings_stay_and_every_target_may_be_missing() -> None:
    logits = np.random.default_rng(0).normal(size=(30, 3)) * [1, 100, 1e-3]
    for targets in (np.full((30, 3), -1), np.zeros((30, 3), int), np.ones((30, 3), int), (logits > 0).astype(int)):
        calibration, _ = fit_calibration(logits, targets)
        assert (calibration.scale > 0).all()
        assert np.isfinite([calibration.scale, calibration.offset]).all()
    one, decisions = fit_calibration(logits[:1], np.array([[1, 0, -1]]))
    assert one.is_identity
    assert decisions == (LabelScaling("none"),) * 3


def test_few_positives_leave_a_label_with_the_common_map() -> None:
    rng = np.random.default_rng(0)
    logits, targets = drawn(rng, 500, np.array([0.3, 0.4, 0.3]), scale=2.0)
    targets[:, 2] = 0
    targets[:3, 2] = 1
    _, decisions = fit_calibration(logits, targets)
    assert decisions[2] == LabelScaling("common")
