"""Sample of images that bases are compared on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transfercli.data.dataset import Dataset, Split
from transfercli.errors import DataError
from transfercli.rows import ArrayRows
from transfercli.workflows.recommend.sample import draw_sample


def split(name: str, targets: list[int], groups: tuple[str, ...] = ()) -> Split:
    paths = tuple(f"{name}/{number:03d}.png" for number in range(len(targets)))
    images = ArrayRows(np.zeros((len(targets), 4, 4, 3), np.uint8))
    return Split(name, paths, np.array(targets, np.int32), ("a", "b", "c"), images, paths, groups=groups)


def dataset(**splits: Split) -> Dataset:
    return Dataset("root", (), ("a", "b", "c"), splits)


def test_test_images_are_never_drawn() -> None:
    data = dataset(train=split("train", [0, 0, 1, 1]), validation=split("validation", [0, 1]), test=split("test", [0]))
    assert {path.split("/")[0] for path in draw_sample(data, 100, 0).paths} == {"train", "validation"}


def test_classes_have_their_share_and_two_images_at_least() -> None:
    data = dataset(train=split("train", [0] * 80 + [1] * 18 + [2] * 2), validation=split("validation", [0] * 20))
    counts = np.bincount(draw_sample(data, 60, 0).targets)
    assert counts.sum() == 60
    assert counts[2] == 2
    assert counts[0] == pytest.approx(60 * 100 / 120, abs=2)


def test_the_seed_draws_the_images() -> None:
    data = dataset(train=split("train", [0, 1] * 50))
    assert draw_sample(data, 20, 0).paths == draw_sample(data, 20, 0).paths != draw_sample(data, 20, 1).paths


def test_images_are_found_again_in_the_same_data_at_another_size() -> None:
    data = dataset(train=split("train", [0, 1] * 10), validation=split("validation", [0, 1]))
    sample = draw_sample(data, 8, 0)
    assert tuple(path for part in sample.parts_in(data) for path in part.paths) == sample.paths
    targets = np.concatenate([part.targets for part in sample.parts_in(data)])
    np.testing.assert_array_equal(targets, sample.targets)


def test_an_image_that_another_way_of_reading_makes_a_test_image_is_not_used() -> None:
    data = dataset(train=split("train", [0, 1] * 4))
    sample = draw_sample(data, 100, 0)
    train = data.splits["train"]
    moved = replace(data, splits={"train": train.at(np.arange(1, 8)), "test": train.at(np.array([0]))})
    with pytest.raises(DataError, match="only 7 of the 8 images can be compared"):
        sample.parts_in(moved)


@pytest.mark.parametrize("groups", [(), ("g", "g", "h", "h")])
def test_classes_of_one_image_or_one_group_cannot_be_compared(groups: tuple[str, ...]) -> None:
    targets = [0, 0, 1, 1] if groups else [0, 1, 2]
    with pytest.raises(DataError, match="no class has two images that are independent"):
        draw_sample(dataset(train=split("train", targets, groups)), 100, 0)
