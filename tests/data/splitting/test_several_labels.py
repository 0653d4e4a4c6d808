"""Splits and folds of images with several labels, none, or unknown ones."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.splitting.samples import HALVES, pixels
from transfercli.data.splitting.copy_groups import Sample
from transfercli.data.splitting.splits import Folds, SplitResult, assign
from transfercli.errors import DataError

SEEDS = (None, 0, 7)  # by hash, and stratified


def skewed(count: int = 400, seed: int = 0, labels: int = 8) -> list[Sample]:
    """Return images with labels from frequent to rare; some images have none."""
    shares = np.random.default_rng(seed).random((count, labels)) < 0.8 * 0.55 ** np.arange(labels)
    return [Sample(pixels(n), tuple(f"l{k}" for k in np.flatnonzero(row))) for n, row in enumerate(shares)]


def numbers(samples: list[Sample], found: SplitResult, label: str, *, has: bool = True) -> Counter[str]:
    pairs = zip(samples, found.splits, strict=True)
    return Counter(split for s, split in pairs if (label in s.labels) == has and label not in s.unknown)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_image_has_one_split_also_those_without_a_label(seed: int | None) -> None:
    samples = skewed()
    assert any(not sample.labels for sample in samples)
    found = assign(samples, HALVES, {}, seed=seed, several=True)
    assert len(found.splits) == len(samples)
    assert set(found.splits) == {"train", "validation", "test"}
    assert found.assignments == {s.pixels: split for s, split in zip(samples, found.splits, strict=True)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rare, has", [("three", True), ("nearly all", False)])
def test_a_label_is_there_and_not_there_in_every_split(seed: int | None, rare: str, has: bool) -> None:
    samples = [Sample(pixels(n), ("a",) * (n % 2) + (rare,) * ((n in (5, 6, 9)) == has)) for n in range(200)]
    found = assign(samples, HALVES, {}, seed=seed, several=True)
    assert numbers(samples, found, rare, has=has) == {"train": 1, "validation": 1, "test": 1}


def test_a_split_by_hash_moves_no_image_when_others_are_added() -> None:
    samples = skewed()
    first = assign(samples, HALVES, {}, several=True)
    grown = assign([*samples, *(replace(s, pixels=pixels(5_000 + n)) for n, s in enumerate(samples))], HALVES, {})
    lasting = set(first.assignments.items()) & set(grown.assignments.items())
    assert len(lasting) >= len(samples) - 5  # but for images that were moved so that a label is in every split


@pytest.mark.parametrize("seed", SEEDS)
def test_an_unknown_label_is_neither_there_nor_not_there(seed: int | None) -> None:
    some = [Sample(pixels(n), ("a", "b")[: n % 3]) for n in range(60)]
    judged = [Sample(pixels(100 + n), ("c",) * (n < 3)) for n in range(6)]
    samples = [*(replace(s, unknown=("c",)) for s in some), *judged]
    found = assign(samples, HALVES, {}, seed=seed, several=True)
    for has in (True, False):
        assert set(numbers(samples, found, "c", has=has)) == {"train", "validation", "test"}


@given(st.integers(0, 10_000), st.floats(0.1, 0.3), st.floats(0.1, 0.3), st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_stratified_splits_have_the_shares_of_every_label(data: int, validation: float, test: float, seed: int) -> None:
    samples = skewed(300, data)
    fractions = {"validation": validation, "test": test}
    counts = Counter(label for sample in samples for label in sample.labels)
    samples = [replace(s, labels=tuple(label for label in s.labels if counts[label] > 2)) for s in samples]
    found = assign(samples, fractions, {}, seed=seed, several=True)
    for label in {label for sample in samples for label in sample.labels}:
        present = numbers(samples, found, label)
        for split, share in fractions.items():
            assert abs(present[split] - max(share * present.total(), 1)) <= 2
    for split, share in fractions.items():
        assert abs(found.splits.count(split) - share * len(samples)) <= 3


def test_stratified_folds_are_alike_in_every_label() -> None:
    samples = skewed(labels=5)
    found = assign(samples, {}, {}, folds=Folds(5, 1), seed=0, several=True)
    for label in {label for sample in samples for label in sample.labels}:
        places = Counter(found.assignments[s.pixels] for s in samples if label in s.labels)
        assert len(places) == 5
        assert max(places.values()) - min(places.values()) <= 2


def test_stratified_splits_follow_from_the_seed_and_not_from_the_order() -> None:
    samples = skewed()
    one = assign(samples, HALVES, {}, seed=1, several=True).assignments
    shuffled = random.Random(0).sample(samples, len(samples))
    assert assign(shuffled, HALVES, {}, seed=1, several=True).assignments == one
    assert assign(samples, HALVES, {}, seed=2, several=True).assignments != one


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_and_copies_stay_together_and_earlier_splits_stay(seed: int | None) -> None:
    samples = [replace(s, group=f"g{n % 60}") for n, s in enumerate(skewed(labels=4))]
    samples += [replace(s, group="") for s in samples[:20]]
    earlier = {s.pixels: "test" for s in samples if s.group == "g3"}
    found = assign(samples, HALVES, earlier, seed=seed, several=True)
    assert earlier.items() <= found.assignments.items()
    splits: dict[str, set[str]] = {}
    for sample, split in zip(samples, found.splits, strict=True):
        splits.setdefault(sample.group or next(s.group for s in samples if s.pixels == sample.pixels), set()).add(split)
    assert all(len(found_in) == 1 for found_in in splits.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_label_with_too_few_images_is_named_as_a_label(seed: int | None) -> None:
    samples = [*skewed(labels=2), Sample(pixels(9_001), ("rare",)), Sample(pixels(9_002), ("rare", "l0"))]
    with pytest.raises(DataError) as caught:
        assign(samples, HALVES, {}, seed=seed, several=True)
    assert caught.value.message == (
        "label 'rare' has 2 different usable images for train and validation and test; at least 3 are needed"
    )
    assert caught.value.hint == "add images of 'rare', or remove the label"


def test_a_label_that_all_images_have_is_refused() -> None:
    samples = [Sample(pixels(n), ("all", "a")[: 1 + n % 2]) for n in range(40)]
    with pytest.raises(DataError, match="label 'all' has 0 different usable images without it for train and"):
        assign(samples, HALVES, {}, several=True)


def test_an_image_that_is_needed_by_another_label_makes_room_by_a_further_move() -> None:
    # Three labels with three images each in two of which they meet; a plain move would always empty another split.
    names = ["a", "b", "c", "d"]
    for start in range(200):
        rng = random.Random(start)
        sets = [tuple(sorted(rng.sample(names, 2))) for _ in range(9)]
        if any(sum(name in labels for labels in sets) < 4 for name in names):
            continue
        samples = [Sample(pixels(100 * start + n), labels) for n, labels in enumerate(sets)]
        found = assign(samples, HALVES, {}, several=True)
        for name in names:
            assert set(numbers(samples, found, name)) == {"train", "validation", "test"}
