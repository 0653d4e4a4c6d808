"""Ordered classes: probabilities of the steps of a scale, and the loss of CORN."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from transfercli.models.tasks.ordinal import class_log_probabilities, step_targets
from transfercli.models.tasks.outputs import OUTPUTS

STEPS = np.random.default_rng(0).normal(size=(30, 3)).astype("float32") * 3


def log_probabilities(steps: np.ndarray) -> np.ndarray:
    inputs = keras.Input((steps.shape[1],))
    return keras.Model(inputs, class_log_probabilities(inputs)).predict(steps, verbose=0)


def test_the_probability_of_a_class_is_that_of_passing_every_step_below_it_and_not_its_own() -> None:
    passed = 1 / (1 + np.exp(-STEPS.astype("float64")))
    a, b, c = passed.T
    expected = np.stack([1 - a, a * (1 - b), a * b * (1 - c), a * b * c], axis=1)
    np.testing.assert_allclose(OUTPUTS["ordinal"].probabilities(log_probabilities(STEPS)), expected, atol=1e-6)


def test_extreme_steps_give_finite_logits() -> None:
    assert np.isfinite(log_probabilities(np.array([[500.0, -500.0, 500.0]], "float32"))).all()


def test_a_step_is_known_only_to_the_images_that_reach_it() -> None:
    np.testing.assert_array_equal(step_targets(np.array([0, 1, 2]), 3), [[0, -1], [1, 0], [1, 1]])


def test_the_cross_entropy_of_the_classes_is_the_sum_of_the_losses_of_the_steps() -> None:
    targets = np.arange(30) % 4
    steps = step_targets(targets, 4)
    losses = np.logaddexp(0, np.where(steps == 1, -STEPS, STEPS))
    expected = np.where(steps >= 0, losses, 0).sum(axis=1)
    np.testing.assert_allclose(-log_probabilities(STEPS)[np.arange(30), targets], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_metrics_of_a_scale_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import cohen_kappa_score, mean_absolute_error

    from transfercli.evaluation.metrics.registry import value_of

    rng = np.random.default_rng(seed)
    targets, probabilities = rng.integers(0, 4, 60), rng.dirichlet(np.ones(4), 60)
    predicted = probabilities.argmax(axis=1)
    assert value_of("mae", targets, probabilities) == pytest.approx(mean_absolute_error(targets, predicted))
    kappa = cohen_kappa_score(targets, predicted, weights="quadratic")
    assert value_of("quadratic_kappa", targets, probabilities) == pytest.approx(kappa)
