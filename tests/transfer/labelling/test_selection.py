"""Methods that choose images to label, on points whose answer is known and on real digits."""

from __future__ import annotations

import numpy as np
import pytest

from tests.digits import Digits
from transfercli.reporting import Reporter
from transfercli.transfer.labelling.methods import METHODS, cover_radius, typicality
from transfercli.transfer.labelling.pool import MAX_WIDTH, Pool, narrowed
from transfercli.transfer.labelling.selection import quotas, select


def pool_of(features: np.ndarray, guesses: np.ndarray, labelled: np.ndarray, sure: float = 0.6) -> Pool:
    classes = int(guesses.max()) + 1
    probabilities = np.full((len(features), classes), (1 - sure) / (classes - 1))
    probabilities[np.arange(len(features)), guesses] = sure
    return Pool(features.astype("float32"), probabilities, labelled.astype("float32"), np.zeros(classes, int))


@pytest.fixture(scope="module")
def digit_pool(digits: Digits) -> tuple[Pool, np.ndarray]:
    """400 digits with predictions of nearest class means, and 10 labelled ones."""
    features = digits.features[:400].astype("float32") / 16
    targets = digits.labels[:400]
    means = np.stack([digits.features[1000:][digits.labels[1000:] == c].mean(axis=0) / 16 for c in range(10)])
    logits = -4 * np.square(features[:, None] - means[None]).sum(axis=2)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rows = np.array([np.flatnonzero(digits.labels == c)[-1] for c in range(10)])
    labelled = digits.features[rows].astype("float32") / 16
    return Pool(features, probabilities, labelled, np.ones(10, int)), targets


@pytest.mark.parametrize("method", METHODS)
def test_every_method_chooses_each_image_once_and_balances_the_guessed_classes(
    digit_pool: tuple[Pool, np.ndarray], method: str
) -> None:
    pool, _ = digit_pool
    choice = select(pool, 40, method, np.arange(400), 3, Reporter())
    assert len({*choice.rows.tolist()}) == 40
    assert np.bincount(pool.guesses[choice.rows], minlength=10).tolist() == [4] * 10
    assert np.isfinite(choice.scores).all()
    again = select(pool, 40, method, np.arange(400), 3, Reporter())
    assert choice.rows.tolist() == again.rows.tolist()  # the seed decides


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_all_images_if_the_budget_is_larger_but_only_one_of_each_set_of_copies(method: str) -> None:
    features = np.random.default_rng(0).normal(size=(9, 4))
    pool = pool_of(features, np.array([0, 1, 2] * 3), features[:2] + 0.1)
    copies = np.array([0, 0, 1, 2, 3, 3, 4, 5, 5])
    choice = select(pool, 100, method, copies, 0, Reporter())
    assert sorted(copies[choice.rows].tolist()) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_works_without_labelled_images_and_with_a_single_or_identical_images(method: str) -> None:
    none = np.zeros((0, 3))
    one = pool_of(np.ones((1, 3)), np.array([1]), none)
    assert select(one, 5, method, np.arange(1), 0, Reporter()).rows.tolist() == [0]
    same = pool_of(np.ones((6, 3)), np.array([0, 1] * 3), none)
    assert sorted(select(same, 6, method, np.arange(6), 0, Reporter()).rows.tolist()) == [0, 1, 2, 3, 4, 5]


def test_classes_with_fewer_labels_get_more_images() -> None:
    assert quotas(np.array([10, 2, 5]), np.array([50, 50, 50]), 11).tolist() == [0, 7, 4]
    assert quotas(np.array([0, 0]), np.array([3, 50]), 20).tolist() == [3, 17]
    assert quotas(np.array([0, 0]), np.array([1, 1]), 20).tolist() == [1, 1]


def test_margin_and_entropy_put_the_most_unsure_image_first() -> None:
    probabilities = np.array([[0.9, 0.05, 0.05], [0.5, 0.49, 0.01], [0.4, 0.3, 0.3]])
    pool = Pool(np.eye(3, dtype="float32"), probabilities, np.zeros((0, 3), "float32"), np.zeros(3, int))
    chosen = {name: select(pool, 3, name, np.arange(3), 0, Reporter()) for name in ("margin", "entropy")}
    assert chosen["margin"].rows.tolist() == [1, 2, 0]
    assert chosen["entropy"].rows.tolist() == [2, 1, 0]
    np.testing.assert_allclose(chosen["margin"].scores, [0.99, 0.9, 0.15])


def test_k_centre_takes_the_image_farthest_from_all_labelled_and_chosen_ones() -> None:
    line = np.array([[0.0], [1.0], [6.0], [10.0]])
    pool = pool_of(line, np.array([1, 1, 1, 1]), np.array([[0.0]]))
    choice = select(pool, 3, "kcentre", np.arange(4), 0, Reporter())
    assert choice.rows.tolist() == [3, 2, 1]  # 4 away from 0 and 10, and then 1 away from 0
    np.testing.assert_allclose(choice.scores, [10, 4, 1], rtol=1e-5)


def test_probcover_takes_the_middle_of_the_largest_group_without_a_label() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(centre, 0.1, size=(n, 2)) for centre, n in (((0, 0), 30), ((5, 5), 20), ((9, 0), 10))]
    pool = pool_of(np.concatenate(groups), np.arange(60) % 3, groups[0][:1])
    rows = select(pool, 2, "probcover", np.arange(60), 0, Reporter()).rows
    assert 30 <= rows[0] < 50 <= rows[1]  # the first group has a label


def test_typiclust_takes_a_typical_image_of_each_group_and_no_outlier() -> None:
    rng = np.random.default_rng(0)
    groups = [rng.normal(centre, 0.1, size=(30, 2)) for centre in ((0, 0), (5, 5), (9, 0))]
    pool = pool_of(np.concatenate(groups), np.arange(90) % 3, np.zeros((0, 2)))
    rows = select(pool, 3, "typiclust", np.arange(90), 0, Reporter()).rows
    assert sorted(int(row) // 30 for row in rows) == [0, 1, 2]
    near = typicality(np.array([[0.0, 0], [0, 0.1], [0, 0.2], [3, 3]]))
    assert near.argmin() == 3


def test_badge_distances_are_those_of_the_gradients() -> None:
    rng = np.random.default_rng(1)
    features, probabilities = rng.normal(size=(12, 5)).astype("float32"), rng.dirichlet([1, 1, 1], 12)
    pool = Pool(features, probabilities, np.zeros((0, 5), "float32"), np.zeros(3, int))
    method = METHODS["badge"](pool, 4, 0)
    row, score = method.choose(np.ones(12, bool))
    errors = probabilities - np.eye(3)[probabilities.argmax(axis=1)]
    gradients = (errors[:, :, None] * features[:, None, :]).reshape(12, -1)
    assert row == np.linalg.norm(gradients, axis=1).argmax()
    assert score == pytest.approx(np.linalg.norm(gradients[row]), rel=1e-4)
    second, distance = method.choose(np.arange(12) != row)
    expected = min(np.linalg.norm(gradients[second]), np.linalg.norm(gradients[second] - gradients[row]))
    assert distance == pytest.approx(expected, rel=1e-3)


def test_narrow_features_keep_nearly_all_distances(digits: Digits) -> None:
    rng = np.random.default_rng(0)
    wide = (digits.features[:300].astype("float32") / 16) @ rng.normal(size=(64, 600)).astype("float32")
    found, labelled = narrowed(wide, wide[:7])
    assert found.shape == (300, 64) or found.shape[1] <= MAX_WIDTH
    expected = np.linalg.norm(wide[:7, None] - wide[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(labelled[:, None] - found[None], axis=2), expected, rtol=1e-2, atol=0.1)


def test_the_radius_is_zero_if_there_are_fewer_images_than_classes() -> None:
    assert cover_radius(pool_of(np.eye(2), np.array([0, 2]), np.zeros((0, 2))), 0) == 0.0


def test_chosen_digits_teach_more_than_random_ones(digit_pool: tuple[Pool, np.ndarray], digits: Digits) -> None:
    pool, targets = digit_pool
    test, truth = digits.features[400:1000] / 16, digits.labels[400:1000]

    def accuracy(method: str, seed: int) -> float:
        rows = select(pool, 20, method, np.arange(400), seed, Reporter()).rows
        nearest = np.square(test[:, None] - pool.features[rows][None]).sum(axis=2).argmin(axis=1)
        return float((targets[rows][nearest] == truth).mean())

    means = {m: np.mean([accuracy(m, seed) for seed in range(4)]) for m in ("random", "typiclust", "probcover")}
    assert min(means["typiclust"], means["probcover"]) > means["random"]
