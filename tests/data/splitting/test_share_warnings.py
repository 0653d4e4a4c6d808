"""Warnings about splits that are not what the config or earlier runs say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.splitting.samples import HALVES, of_classes, pixels
from tests.listener import Listener
from transfercli.data.splitting.copy_groups import Sample
from transfercli.data.splitting.share_warnings import warn_of_overruled, warn_of_shared_images, warn_of_shares
from transfercli.data.splitting.splits import Folds, assign
from transfercli.errors import DataError

SIDES = ("train", "train", "train", "validation", "test")


def by_hand(count: int = 40) -> list[Sample]:
    """Samples of two classes that the source has sorted into splits by number."""
    return [Sample(pixels(n), (f"class{n % 2}",), SIDES[n // 2 % 5]) for n in range(count)]


def test_splits_that_the_data_gives_come_before_those_of_earlier_runs() -> None:
    samples, reporter = by_hand(), Listener()
    earlier = assign([Sample(sample.pixels, sample.labels) for sample in samples], HALVES, {}).assignments
    found = assign(samples, {}, earlier)
    assert found.splits == [sample.split for sample in samples]
    assert {sample.pixels: found.assignments[sample.pixels] for sample in samples} == {
        sample.pixels: sample.split for sample in samples
    }
    moved = [sample for sample in samples if earlier[sample.pixels] != sample.split]
    assert {*found.overruled} == {sample.pixels for sample in moved}
    warn_of_overruled(found.overruled, reporter)
    assert f"{len(moved)} images in another split than in earlier runs" in reporter.warnings[0]
    assert assign(samples, {}, found.assignments).overruled == {}


def test_a_split_that_the_data_does_not_give_is_kept_from_earlier_runs() -> None:
    samples = by_hand()
    earlier = assign([Sample(sample.pixels, sample.labels) for sample in samples], HALVES, {}).assignments
    only_test = [Sample(s.pixels, s.labels, "test" if s.split == "test" else "train") for s in samples]
    found = assign(only_test, {"validation": 0.15}, earlier)
    for sample, split in zip(only_test, found.splits, strict=True):
        if sample.split == "test":
            assert split == "test"
        elif earlier[sample.pixels] != "test":
            assert split == earlier[sample.pixels]
        else:
            assert split in ("train", "validation")


def test_an_image_that_leaves_the_validation_folder_chose_epochs_and_is_never_a_test_image() -> None:
    samples = of_classes([30, 30])
    named = [Sample(pixels(8000 + n), (f"class{n}",), "validation") for n in range(2)]
    earlier = {sample.pixels: "validation" for sample in samples[:20]}
    found = assign([*samples, *named], {"test": 0.5}, earlier)
    assert {*found.splits[:20]} == {"train"}
    assert "test" in found.splits[20:]


def test_images_that_are_gone_keep_the_split_of_earlier_runs() -> None:
    samples = by_hand()
    earlier = {pixels(9000): "test"} | {sample.pixels: "train" for sample in samples}
    assert assign(samples, {}, earlier).assignments[pixels(9000)] == "test"


def test_a_test_image_that_the_data_puts_into_train_may_be_in_any_fold() -> None:
    samples = of_classes([20, 20])
    named = [Sample(pixels(8000 + n), (f"class{n}",), "test") for n in range(2)]
    found = assign([*samples, *named], {}, {samples[0].pixels: "test"}, folds=Folds(4, 1))
    assert found.splits[0] != "test"
    assert found.splits[-2:] == ["test", "test"]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_training_images_that_are_all_held_out_are_named_for_what_they_are(split: str) -> None:
    samples = of_classes([6, 6])
    with pytest.raises(DataError, match=f"every training image is a {split} image as well"):
        assign([*samples, *(Sample(s.pixels, s.labels, split) for s in samples)], {}, {})
    copies = [Sample(s.pixels, s.labels, split) for s in samples if s.labels == ("class0",)]
    with pytest.raises(DataError, match=f"every training image of class 'class0' is a {split} image as well"):
        assign([*samples, *copies], {}, {})


def test_images_for_validation_and_for_test_are_a_warning() -> None:
    samples, reporter = of_classes([6, 6]), Listener()
    warn_of_shared_images([*samples, Sample(pixels(900), ("class0",), "validation")], reporter)
    assert reporter.warnings == []
    warn_of_shared_images([Sample(pixels(900), ("class0",), split) for split in ("validation", "test")], reporter)
    assert "1 image both for validation and for test" in reporter.warnings[0]


def test_shares_far_from_those_of_the_config_are_a_warning() -> None:
    samples, reporter = of_classes([60, 61]), Listener()
    earlier = {
        s.pixels: "validation" if n % 4 == 0 else "test" if n % 6 == 1 else "train" for n, s in enumerate(samples)
    }
    found = assign(samples, HALVES, earlier)
    warn_of_shares(samples, found, HALVES, reporter)
    assert "validation has 31 of 121 images (26%), data.validation is 0.15: each" in reporter.warnings[0]
    exact = assign(samples, HALVES, {}, seed=0)
    warn_of_shares(samples, exact, HALVES, reporter)
    warn_of_shares(of_classes([3, 3]), assign(of_classes([3, 3]), HALVES, {}), HALVES, reporter)
    assert len(reporter.warnings) == 1


def test_a_user_who_sorts_the_images_gets_the_splits_that_he_made(
    tmp_path: Path, grow: Any, load: Any, reporter: Any
) -> None:
    folder = grow(tmp_path / "images", {"cat": 20, "dog": 20})
    first = load(tmp_path)
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        place = tmp_path / "sorted" / ("train", "train", "val", "test")[number % 4] / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / path.name).write_bytes(path.read_bytes())
    found = load(tmp_path, "sorted", assignments=first.assignments)
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 20, "validation": 10, "test": 10}
    assert "in another split than in earlier runs of this experiment" in reporter.warnings[-1]
    count = len(reporter.warnings)
    load(tmp_path, "sorted", assignments=found.assignments)
    assert len(reporter.warnings) == count
