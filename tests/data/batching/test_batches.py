from __future__ import annotations

import numpy as np
import pytest

from transfercli.data.batching.batches import SAMPLINGS, BalancedBatches, Batches
from transfercli.rows import ArrayRows

X = np.arange(10 * 4 * 4 * 3, dtype=np.uint8).reshape(10, 4, 4, 3)
Y = np.arange(10, dtype=np.int32) % 3


def rows(batches: Batches) -> list[list[int]]:
    """Which rows each batch holds, by their first pixel."""
    firsts = [int(image[0, 0, 0]) for image in X]
    return [[firsts.index(int(x[0, 0, 0])) for x in batches[n][0]] for n in range(len(batches))]


def test_without_a_seed_rows_come_in_their_order_and_the_last_batch_may_be_smaller() -> None:
    batches = Batches(ArrayRows(X), Y, 4)
    assert rows(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    x, y, weights = batches[2]
    assert (x.dtype, y.dtype, weights.dtype) == (np.uint8, np.int32, np.float32)
    assert np.array_equal(y, Y[8:])
    assert np.array_equal(weights, [1, 1])


def test_the_order_follows_from_seed_and_epoch_alone() -> None:
    one, other = Batches(ArrayRows(X), Y, 4, seed=5), Batches(ArrayRows(X), Y, 4, seed=5)
    other.set_epoch(7)
    other.on_epoch_end()
    other.set_epoch(2)
    one.set_epoch(2)
    assert rows(one) == rows(other)
    one.set_epoch(3)
    assert rows(one) != rows(other)
    assert rows(Batches(ArrayRows(X), Y, 4, seed=6)) != rows(Batches(ArrayRows(X), Y, 4, seed=5))


def test_every_epoch_serves_every_row_once() -> None:
    batches = Batches(ArrayRows(X), Y, 3, seed=1)
    for epoch in range(5):
        batches.set_epoch(epoch)
        assert sorted(row for batch in rows(batches) for row in batch) == list(range(10))


def test_targets_and_weights_belong_to_their_rows() -> None:
    batches = Batches(ArrayRows(X), Y, 3, seed=1, class_weights=[0.5, 1.0, 2.0])
    for n, found in enumerate(rows(batches)):
        assert np.array_equal(batches[n][1], Y[found])
        assert np.array_equal(batches[n][2], np.array([0.5, 1, 2])[Y[found]])


def test_the_augmentation_gets_seed_epoch_and_batch() -> None:
    keys = []

    def augment(images: np.ndarray, key: tuple[int, ...]) -> np.ndarray:
        keys.append(key)
        return 255 - images

    batches = Batches(ArrayRows(X), Y, 4, seed=9, augment=augment)
    batches.set_epoch(3)
    plain = Batches(ArrayRows(X), Y, 4, seed=9)
    plain.set_epoch(3)
    assert np.array_equal(batches[1][0], 255 - plain[1][0])
    assert keys == [(9, 3, 1)]


def test_mistakes_are_refused() -> None:
    with pytest.raises(ValueError, match="10 and 9"):
        Batches(ArrayRows(X), Y[:9], 4)
    with pytest.raises(ValueError, match="give a seed"):
        Batches(ArrayRows(X), Y, 4, augment=lambda images, _: images)
    with pytest.raises(IndexError):
        Batches(ArrayRows(X), Y, 4)[3]


def test_fit_sees_the_batches_of_its_epoch_in_their_order() -> None:
    import keras

    seen: list[np.ndarray] = []

    class Remembering(Batches):
        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            x, y, weights = super().__getitem__(index)
            seen.append(x)
            return x, y, weights

    batches = Remembering(ArrayRows(X.astype(np.float32)), Y, 4, seed=2)
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for epoch in (0, 1):
        batches.set_epoch(epoch)
        seen.clear()
        model.fit(batches, epochs=1, shuffle=False, verbose=0)
        served = np.concatenate(seen[-len(batches) :])
        order = np.arange(10)
        np.random.default_rng([2, epoch]).shuffle(order)
        assert np.array_equal(served, X[order])


UNEVEN = np.array([0, 0, 0, 0, 0, 0, 0, 1, 3, 3], np.int32)  # no image of class 2


def test_balanced_batches_serve_the_classes_equally_and_as_many_rows() -> None:
    batches = BalancedBatches(ArrayRows(X), UNEVEN, 4, seed=1)
    extra = set()
    for epoch in range(12):
        batches.set_epoch(epoch)
        served = [row for batch in rows(batches) for row in batch]
        assert np.array_equal(np.concatenate([batches[n][1] for n in range(3)]), UNEVEN[served])
        counts = {int(one): int(n) for one, n in zip(*np.unique(UNEVEN[served], return_counts=True), strict=True)}
        assert sorted(counts.values()) == [3, 3, 4]
        assert abs(served.count(8) - served.count(9)) <= 1
        assert max(served.count(row) for row in range(7)) == 1  # of a large class nothing twice
        extra.add(max(counts, key=counts.__getitem__))
    assert extra == {0, 1, 3}


def test_balanced_batches_show_all_of_a_large_class_in_time_and_follow_from_seed_and_epoch() -> None:
    one, other = (BalancedBatches(ArrayRows(X), UNEVEN, 4, seed=1) for _ in range(2))
    seen: set[int] = set()
    for epoch in range(10):
        one.set_epoch(epoch)
        seen |= {row for batch in rows(one) for row in batch}
    assert seen == set(range(10))
    other.set_epoch(9)
    assert rows(one) == rows(other)


def test_every_sampling_of_the_schema_has_its_row() -> None:
    from typing import get_args

    from transfercli.config.schema import TrainingConfig

    assert set(get_args(TrainingConfig.model_fields["sampling"].annotation)) == set(SAMPLINGS)


def test_an_augmentation_that_mixes_serves_parts_of_classes_and_their_weights() -> None:
    from transfercli.config.schema import AugmentationConfig
    from transfercli.data.batching.augment import build

    augment = build(AugmentationConfig(layers=[{"MixUp": {"alpha": 1.0}}]), classes=3)
    batches = Batches(ArrayRows(X), Y, 4, seed=9, augment=augment, class_weights=[0.5, 1.0, 2.0])
    batches.set_epoch(3)
    assert batches.soft
    for n in range(3):
        x, y, weights = batches[n]
        assert (x.dtype, y.dtype) == (np.uint8, np.float32)
        assert y.shape == (len(x), 3)
        np.testing.assert_allclose(weights, y @ [0.5, 1.0, 2.0], rtol=1e-6)
        for one, other in zip(batches[n], (x, y, weights), strict=True):
            assert np.array_equal(one, other)
    assert not Batches(ArrayRows(X), Y, 4).soft
