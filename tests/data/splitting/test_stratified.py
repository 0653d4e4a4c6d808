"""Stratified splits and folds: exact shares of every class."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.splitting.samples import HALVES, class_sizes, of_classes
from transfercli.data.splitting.splits import Folds, assign


@given(class_sizes, class_sizes, st.integers(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_stratified_sides_keep_images_when_files_are_added(
    sizes: list[int], more: list[int], seed: int, shuffler: random.Random
) -> None:
    samples = of_classes(sizes)
    first = assign(samples, HALVES, {}, seed=seed)
    grown = samples + of_classes(more, first=5_000)
    shuffler.shuffle(grown)
    second = assign(grown, HALVES, first.assignments, seed=seed)
    assert first.assignments.items() <= second.assignments.items()


@given(class_sizes, st.floats(0.05, 0.4), st.floats(0.05, 0.4), st.integers(0, 9))
@settings(max_examples=100, deadline=None)
def test_stratified_sides_have_the_exact_shares_of_every_class(
    sizes: list[int], validation: float, test: float, seed: int
) -> None:
    samples = of_classes(sizes)
    found = assign(samples, {"validation": validation, "test": test}, {}, seed=seed)
    for number, size in enumerate(sizes):
        counts = Counter(s for one, s in zip(samples, found.splits, strict=True) if one.labels == (f"class{number}",))
        for side, share in (("validation", validation), ("test", test)):
            assert counts[side] == 1 or abs(counts[side] - size * share) < 1
        assert counts["train"] >= 1


def test_stratified_sides_follow_from_the_seed_and_not_from_the_order() -> None:
    samples = of_classes([40, 40])
    one = assign(samples, HALVES, {}, seed=1).assignments
    assert assign(samples[::-1], HALVES, {}, seed=1).assignments == one
    assert assign(samples, HALVES, {}, seed=2).assignments != one


def test_stratified_sides_count_what_earlier_runs_assigned() -> None:
    samples = of_classes([20, 20])
    earlier = {s.pixels: "test" for s in samples[:3]}
    found = assign(samples, HALVES, earlier, seed=0)
    assert [n for n, side in enumerate(found.splits[:20]) if side == "test"] == [0, 1, 2]


def test_small_classes_do_not_all_round_to_the_same_side() -> None:
    samples = of_classes([10] * 40)
    sides = Counter(assign(samples, HALVES, {}, seed=0).splits)
    assert sides["validation"] + sides["test"] == 120  # 15 % of 10 is 1.5: one class gives 2, another 1
    assert 50 <= sides["test"] <= 70


def test_stratified_folds_are_of_one_size_in_every_class() -> None:
    samples = of_classes([20, 33])
    places = assign(samples, {}, {}, folds=Folds(5, 1), seed=0).assignments
    for label, sizes in (("class0", {4}), ("class1", {6, 7})):
        counts = Counter(places[s.pixels] for s in samples if s.labels == (label,))
        assert set(counts.values()) == sizes
        assert len(counts) == 5
