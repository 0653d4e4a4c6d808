"""Ridge regression beside scikit-learn's, and its choice of the strength beside brute force."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from transfercli.transfer.probe.ridge import FOLDS, folds_of, solve_ridge


def problem(images: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(images, width)) + 3
    return features, features[:, :3].sum(axis=1) + rng.normal(size=images)


@pytest.mark.parametrize("shape", [(60, 8), (30, 50)])
def test_the_head_and_its_strength_are_those_of_scikit_learn_and_brute_force(shape: tuple[int, int]) -> None:
    features, targets = problem(*shape)
    folds = folds_of((), len(features), seed=1)
    solved = solve_ridge(features, targets, folds)
    reference = Ridge(alpha=solved.strength).fit(features, targets)
    np.testing.assert_allclose(solved.weights, reference.coef_, atol=1e-6)
    np.testing.assert_allclose(solved.predicted(features), reference.predict(features), atol=1e-6)
    errors = {}
    for strength, _ in solved.path[4::4]:
        out = [
            np.square(
                Ridge(alpha=strength).fit(features[folds != k], targets[folds != k]).predict(features[folds == k])
                - targets[folds == k]
            )
            for k in range(FOLDS)
        ]
        errors[strength] = np.concatenate(out).mean()
    found = dict(solved.path)
    np.testing.assert_allclose([found[strength] for strength in errors], list(errors.values()), rtol=1e-4)
    assert found[solved.strength] == min(found.values())


def test_a_group_is_held_out_as_a_whole() -> None:
    groups = tuple(f"g{index // 3}" for index in range(30))
    folds = folds_of(groups, 30, seed=0)
    assert all(len(set(folds[start : start + 3])) == 1 for start in range(0, 30, 3))
    assert set(folds) == set(range(FOLDS))


def test_images_that_may_not_be_held_out_choose_no_strength() -> None:
    features, targets = problem(20, 4)
    assert solve_ridge(features, targets, np.full(20, -1)).path == ()


def test_features_without_variation_predict_the_mean() -> None:
    solved = solve_ridge(np.ones((10, 4)), np.arange(10.0), folds_of((), 10, seed=0))
    np.testing.assert_allclose(solved.predicted(np.ones((2, 4))), 4.5)
