"""Multinomial logistic regression, several weighted problems at once."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tests.transfer.probe.probes import examples
from transfercli.transfer.probe.logistic import Problem, fit


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
    _, probabilities = problem.predict(theta, slice(None))
    for number, weights in enumerate(problem.weights):
        model = LogisticRegression(C=10.0, tol=1e-9, max_iter=10_000)
        model.fit(problem.rows[:, :-1].astype(float), problem.targets, sample_weight=weights)
        expected = model.predict_proba(problem.rows[:, :-1].astype(float))
        np.testing.assert_allclose(probabilities[:, number].T, expected, atol=1e-4)


def test_the_start_gives_every_image_the_shares_of_the_classes(problem: Problem) -> None:
    losses, probabilities = problem.predict(problem.start(), slice(None))
    np.testing.assert_allclose(probabilities, 1 / 3, atol=1e-6)
    np.testing.assert_allclose(losses, np.log(3), atol=1e-6)


def test_images_of_no_weight_do_not_count(problem: Problem) -> None:
    kept = problem.weights[1] > 0
    alone = Problem(problem.rows[kept], problem.targets[kept], problem.weights[1:, kept], 3)
    together = fit(problem, problem.start(), 1.0, 1e-10)[:, 1:]
    np.testing.assert_allclose(fit(alone, alone.start(), 1.0, 1e-10), together, atol=1e-3)


@pytest.mark.parametrize("dense", [False, True])
def test_the_size_of_blocks_and_the_number_of_cores_do_not_matter(problem, dense, monkeypatch) -> None:
    from transfercli.transfer.probe import logistic

    whole = fit(problem, problem.start(), 10.0, 1e-10, dense=dense)
    monkeypatch.setattr(logistic, "BLOCK_LOGITS", 100)
    blocks = fit(problem, problem.start(), 10.0, 1e-10, dense=dense)
    monkeypatch.setattr(logistic, "usable_cores", lambda: 1)
    assert np.array_equal(fit(problem, problem.start(), 10.0, 1e-10, dense=dense), blocks)
    for theta in (whole, blocks):
        loss, _ = problem.loss_and_gradient(theta)
        assert loss == pytest.approx(problem.loss_and_gradient(whole)[0], rel=1e-5)
    assert abs(problem.predict(whole, slice(None))[1] - problem.predict(blocks, slice(None))[1]).max() < 1e-4


def test_no_array_of_images_times_classes_is_in_memory() -> None:
    import tracemalloc

    rng, images, classes = np.random.default_rng(0), 4000, 500
    rows = np.concatenate([rng.normal(size=(images, 8)), np.ones((images, 1))], axis=1).astype(np.float32)
    problem = Problem(rows, np.arange(images) % classes, np.ones((1, images)), classes)
    theta = problem.start()
    tracemalloc.start()
    try:
        problem.loss_and_gradient(theta)
        problem.curvatures(theta)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * images * classes * 4  # 4 blocks of 2 MB at once, not all
    finally:
        tracemalloc.stop()
