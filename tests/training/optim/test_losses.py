"""The table of losses: what they are worth, on classes and on mixed targets, and that they can be trained."""

from __future__ import annotations

import numpy as np
import pytest

from transfercli.config.schema import LossConfig
from transfercli.training.optim.losses import LOSSES, build_accuracy, build_loss

PLAIN = LossConfig()
LOGITS = np.array([[0.0, 3.0, -1.0], [0.5, -1.0, 2.0]], "float32")


def chances(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits.astype("float64"))
    return exponents / exponents.sum(axis=1, keepdims=True)


def test_the_loss_is_cross_entropy_for_softmax_and_for_one_sigmoid_unit() -> None:
    two = np.array([[0.0, 3.0], [0.0, -1.0]], "float32")
    targets = np.array([1, 1])
    softmax = np.asarray(build_loss(2, 0.0, PLAIN)(targets, two))
    sigmoid = np.asarray(build_loss(1, 0.0, PLAIN)(targets, two[:, 1:]))
    np.testing.assert_allclose(softmax, np.log1p(np.exp([-3.0, 1.0])), rtol=1e-5)
    np.testing.assert_allclose(sigmoid, softmax, rtol=1e-5)


def test_label_smoothing_raises_the_loss_of_a_sure_answer() -> None:
    sure = np.array([[20.0, 0.0]], "float32")
    assert float(build_loss(2, 0.1, PLAIN)(np.array([0]), sure)[0]) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_that_of_the_paper(gamma: float) -> None:
    targets = np.array([1, 0])
    right = chances(LOGITS)[[0, 1], targets]
    found = build_loss(3, 0.0, LossConfig(name="focal", gamma=gamma))(targets, LOGITS)
    np.testing.assert_allclose(np.asarray(found), -((1 - right) ** gamma) * np.log(right), rtol=1e-4)


def test_focal_loss_of_a_sigmoid_weighs_both_classes() -> None:
    logits = np.array([[1.0], [1.0]], "float32")
    p = 1 / (1 + np.exp(-1.0))
    found = build_loss(1, 0.0, LossConfig(name="focal"))(np.array([1, 0]), logits)
    np.testing.assert_allclose(np.asarray(found), [-((1 - p) ** 2) * np.log(p), -(p**2) * np.log(1 - p)], rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("units", [1, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_soft_targets_at_the_corners_are_worth_what_classes_are(name: str, units: int, smoothing: float) -> None:
    targets, logits = np.array([1, 0]), LOGITS[:, :units]
    hard = build_loss(units, smoothing, LossConfig(name=name))(targets, logits)
    corners = np.eye(max(units, 2), dtype="float32")[targets]
    soft = build_loss(units, smoothing, LossConfig(name=name), soft=True)(corners, logits)
    np.testing.assert_allclose(np.asarray(soft), np.asarray(hard), rtol=1e-6)


def test_a_mixed_target_is_worth_the_mixture_of_its_classes() -> None:
    mixed = np.array([[0.3, 0.0, 0.7], [1.0, 0.0, 0.0]], "float32")
    found = build_loss(3, 0.0, PLAIN, soft=True)(mixed, LOGITS)
    np.testing.assert_allclose(np.asarray(found), -(mixed * np.log(chances(LOGITS))).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_very_sure_answer_is_a_number(gamma: float) -> None:
    import keras

    from transfercli.models.explanations.gradients import GRADIENTS

    loss, targets = build_loss(2, 0.0, LossConfig(name="focal", gamma=gamma)), np.array([0, 0])
    logits = keras.ops.convert_to_tensor([[200.0, -200.0], [-200.0, 200.0]])
    slopes = GRADIENTS[keras.backend.backend()](lambda x: loss(targets, x), logits)
    assert np.isfinite(keras.ops.convert_to_numpy(slopes)).all()
    assert np.isfinite(keras.ops.convert_to_numpy(loss(targets, logits))).all()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("units", [1, 2])
def test_accuracy_counts_the_largest_part_of_a_target(units: int, soft: bool) -> None:
    logits = np.array([[-1.0, 1.0], [1.0, -1.0], [-1.0, 2.0]], "float32")[:, -units:]
    targets = np.array([1, 1, 1])
    metric = build_accuracy(units, soft=soft)
    metric.update_state(np.array([[0.4, 0.6], [0.1, 0.9], [0.0, 1.0]]) if soft else targets, logits)
    assert float(metric.result()) == pytest.approx(2 / 3)
    assert metric.name == "accuracy"
