"""Multinomial logistic regression, several weighted problems at once."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.transfer.probe.probes import examples
from transfercli.transfer.probe.logistic import Problem, cross_entropy, fit


@pytest.fixture(scope="module")
def problem() -> Problem:
    """Two problems on digits 0-2: all images, and half of them with other weights."""
    features, targets = examples(3, 30)
    centred = (features - features.mean(0)) / np.sqrt(((features - features.mean(0)) ** 2).sum(1).mean())
    rows = np.concatenate([centred, np.ones((len(centred), 1))], axis=1).astype(np.float32)
    weights = np.stack([np.ones(len(rows)), np.where(np.arange(len(rows)) % 2, 0.0, 3.0)])
    return Problem(rows, targets, weights, 3)


@pytest.mark.parametrize("dense", [False, True])
def test_each_problem_is_solved_as_scikit_learn_solves_it_alone(problem: Problem, dense: bool) -> None:
    theta = fit(problem, problem.start(), 10.0, 1e-10, dense=dense)
    _, probabilities = cross_entropy(problem, problem.logits(theta))
    for number, weights in enumerate(problem.weights):
        model = LogisticRegression(C=10.0, tol=1e-9, max_iter=10_000)
        model.fit(problem.rows[:, :-1].astype(float), problem.targets, sample_weight=weights)
        expected = model.predict_proba(problem.rows[:, :-1].astype(float))
        np.testing.assert_allclose(probabilities[:, number].T, expected, atol=1e-4)


def test_the_start_gives_every_image_the_shares_of_the_classes(problem: Problem) -> None:
    losses, probabilities = cross_entropy(problem, problem.logits(problem.start()))
    np.testing.assert_allclose(probabilities, 1 / 3, atol=1e-6)
    np.testing.assert_allclose(losses, np.log(3), atol=1e-6)


def test_images_of_no_weight_do_not_count(problem: Problem) -> None:
    kept = problem.weights[1] > 0
    alone = Problem(problem.rows[kept], problem.targets[kept], problem.weights[1:, kept], 3)
    together = fit(problem, problem.start(), 1.0, 1e-10)[:, 1:]
    np.testing.assert_allclose(fit(alone, alone.start(), 1.0, 1e-10), together, atol=1e-3)
