"""The report of a check: duplicates, sizes, balance."""

from __future__ import annotations

import pytest

from transfercli.data.quality.check import CheckedImage, Report, exact_duplicates, unusual_sizes


def image(
    path: str, label: str = "cat", split: str = "train", pixels: str = "", size: tuple[int, int] = (8, 8)
) -> CheckedImage:
    return CheckedImage(path, label, split, pixels or path, *size)


def test_images_with_the_pixels_of_an_earlier_one_are_paired_with_the_first() -> None:
    pairs, _ = exact_duplicates(["x", "y", "x", "x", "z"])
    assert pairs == [(0, 2), (0, 3)]


def test_a_size_far_from_the_typical_one_is_unusual() -> None:
    images = [image(f"{number}.png", size=(100, 80)) for number in range(9)]
    assert unusual_sizes(images) == []
    assert unusual_sizes([*images, image("wide.png", size=(2000, 80)), image("small.png", size=(100, 4))]) == [9, 10]


def test_the_balance_of_classes_is_the_ratio_of_the_largest_to_the_smallest() -> None:
    images = [*(image(f"c{n}", "cat") for n in range(6)), *(image(f"d{n}", "dog") for n in range(2))]
    counts = {"cat": {"train": 6}, "dog": {"train": 2}}
    report = Report(images, labels=["cat", "dog"], counts=counts, problems=(), duplicates=(), near=())
    assert report.classes() == {"cat": 6, "dog": 2}
    assert report.imbalance() == pytest.approx(3)


def test_duplicates_across_labels_and_across_splits_are_told_apart() -> None:
    images = [image("a"), image("b", "dog"), image("c", split="test")]
    report = Report(images, labels=["cat", "dog"], counts={}, problems=(), duplicates=[(0, 1), (0, 2)], near=())
    assert report.across_labels(report.duplicates) == [(0, 1)]
    assert report.paths([(0, 2)]) == [["a", "c"]]
