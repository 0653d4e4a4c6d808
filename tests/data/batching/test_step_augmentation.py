"""Keys of images, and batches that leave their augmentation to the step; the step itself needs JAX."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from transfercli.data.batching.augment import Augment
from transfercli.data.batching.batches import BalancedBatches, Batches, Share
from transfercli.data.batching.step_augmentation import StepAugmentation, image_keys
from transfercli.rows import ArrayRows

IMAGES = np.arange(10, dtype=np.uint8)[:, None, None, None] + np.zeros((10, 4, 4, 3), np.uint8)
FLIP, MIXUP = [{"RandomFlip": {}}], [{"MixUp": {}}]


def keys_of(batches: Batches, epoch: int) -> dict[int, list[tuple[int, ...]]]:
    """Return the keys of each row in an epoch; the rows are known by the pixels."""
    batches.set_epoch(epoch)
    found: dict[int, list[tuple[int, ...]]] = {}
    for number in range(len(batches)):
        (images, keys), *_ = batches[number]
        for image, key in zip(images, keys, strict=True):
            found.setdefault(int(image[0, 0, 0]), []).append(tuple(key.tolist()))
    return found


def test_a_key_follows_from_seed_epoch_and_image_alone() -> None:
    step, rows = StepAugmentation(Augment(FLIP)), ArrayRows(IMAGES)
    one = keys_of(Batches(rows, np.arange(10), 3, seed=5, augment=step), 2)
    assert one == keys_of(Batches(rows, np.arange(10), 4, seed=5, augment=step), 2)
    assert len(one) == 10
    for seed, epoch in ((6, 2), (5, 3)):
        other = keys_of(Batches(rows, np.arange(10), 3, seed=seed, augment=step), epoch)
        assert all(one[row] != other[row] for row in one)
    assert len({key for keys in one.values() for key in keys}) == 10


def test_an_image_that_comes_again_in_an_epoch_has_another_key() -> None:
    targets = np.array([0] * 9 + [1])
    batches = BalancedBatches(ArrayRows(IMAGES), targets, 4, seed=1, augment=StepAugmentation(Augment(FLIP)))
    keys = keys_of(batches, 1)[9]
    assert len(keys) == len(set(keys)) == 5
    assert image_keys(1, 1, np.array([7, 3, 7, 7, 3]))[:, 3].tolist() == [0, 0, 1, 2, 1]


def test_targets_are_fractions_if_the_step_mixes_images() -> None:
    step = StepAugmentation(Augment(MIXUP, 2))
    batches = Batches(ArrayRows(IMAGES), np.arange(10) % 2, 10, augment=step, seed=0, class_weights=[1.0, 3.0])
    (images, keys), y, weights = batches[0]
    assert batches.soft
    assert (images.dtype, keys.dtype, keys.shape) == (np.uint8, np.uint32, (10, 4))
    assert y.sum(axis=1).tolist() == [1] * 10
    assert weights.tolist() == (1 + 2 * y[:, 1]).tolist()


def test_jax_augments_inside_the_step() -> None:
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    tests = Path(__file__).parents[2] / "training" / "test_augmented_model.py"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "bit or thread", str(tests)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stdout
    assert "skipped" not in result.stdout


def test_a_part_of_a_batch_is_that_of_the_whole_one_and_reads_no_other_rows() -> None:
    class Counted(ArrayRows):
        read_rows = 0

        def read(self, indices):
            Counted.read_rows += len(indices)
            return super().read(indices)

    share, own = Share(4), slice(2, 4)
    given = {"seed": 3, "class_weights": [1.0, 2.0], "share": share}
    flip = Augment(FLIP)
    for augment, whole_read in ((None, 2), (StepAugmentation(flip), 2), (flip, 6)):
        batches = Batches(Counted(IMAGES), np.arange(10) % 2, 6, augment=augment, **given)
        for number, rows in enumerate((6, 4)):
            x, y, weights = batches[number]
            assert batches.size_of(number) == len(y)
            Counted.read_rows = 0
            part = batches.part(number, own)
            assert Counted.read_rows == min(whole_read, rows)
            images, keys = (x, None) if not isinstance(x, tuple) else x
            found, found_keys = (part[0], None) if not isinstance(x, tuple) else part[0]
            assert np.array_equal(found, images[own])
            assert keys is None or np.array_equal(found_keys, keys[own])
            assert np.array_equal(part[1], y[own])
            assert np.array_equal(part[2], weights[own])
    odd = Batches(ArrayRows(IMAGES), np.arange(10), 7, seed=3, share=share)
    x, y, weights = odd[1]
    assert len(y) == 4
    assert np.allclose(weights, [4 / 3] * 3 + [0])
    assert y[3] == y[0]
