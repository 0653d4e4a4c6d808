from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.splitting.samples import HALVES, class_sizes, fractions, held_by, of_classes, pixels
from transfercli.data.splitting.assignments import Assignments
from transfercli.data.splitting.copy_groups import Sample
from transfercli.data.splitting.splits import Folds, assign, shares_of, subset_of_hash
from transfercli.errors import DataError


@given(class_sizes, class_sizes, fractions, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_adding_files_never_moves_an_image(
    sizes: list[int], more: list[int], carved: dict[str, float], shuffler: random.Random
) -> None:
    samples = of_classes(sizes)
    first = assign(samples, carved, {})
    grown = samples + of_classes(more, first=5_000)
    shuffler.shuffle(grown)
    second = assign(grown, carved, first.assignments)
    after = held_by(grown, second)
    assert all(after[sample.pixels] == {side} for sample, side in zip(samples, first.splits, strict=True))
    assert first.assignments.items() <= second.assignments.items()


@given(class_sizes, fractions, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 5)), max_size=30))
@settings(max_examples=150, deadline=None)
def test_duplicates_never_cross_whatever_their_class(
    sizes: list[int], carved: dict[str, float], copies: list[tuple[int, int]]
) -> None:
    samples = of_classes(sizes)
    samples += [Sample(samples[n % len(samples)].pixels, (f"class{label % len(sizes)}",)) for n, label in copies]
    try:
        found = assign(samples, carved, {})
    except DataError:
        return  # the copies left a class without enough images of its own
    assert all(len(sides) == 1 for sides in held_by(samples, found).values())


@given(class_sizes, fractions)
@settings(max_examples=150, deadline=None)
def test_every_class_has_every_side(sizes: list[int], carved: dict[str, float]) -> None:
    samples = of_classes(sizes)
    found = assign(samples, carved, {})
    standing = {(s.labels, side) for s, side in zip(samples, found.splits, strict=True)}
    assert standing == {((f"class{n}",), side) for n in range(len(sizes)) for side in ("train", *carved)}


@given(class_sizes, fractions, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_does_not_matter(sizes: list[int], carved: dict[str, float], shuffler: random.Random) -> None:
    samples = of_classes(sizes)
    mixed = samples.copy()
    shuffler.shuffle(mixed)
    assert held_by(samples, assign(samples, carved, {})) == held_by(mixed, assign(mixed, carved, {}))


def test_fractions_are_kept_in_the_large() -> None:
    sides = Counter(subset_of_hash(pixels(n), shares_of(HALVES)) for n in range(20_000))
    assert abs(sides["validation"] / 20_000 - 0.15) < 0.01
    assert abs(sides["test"] / 20_000 - 0.15) < 0.01


def test_a_lacking_side_takes_the_image_with_the_lowest_hash() -> None:
    rare = {"test": 1e-9}
    samples = of_classes([5, 5])
    found = assign(samples, rare, {})
    for label in ("class0", "class1"):
        moved = [
            s.pixels for s, side in zip(samples, found.splits, strict=True) if s.labels == (label,) and side == "test"
        ]
        assert moved == [min(s.pixels for s in samples if s.labels == (label,))]


def test_an_earlier_assignment_wins_over_the_hash_and_over_other_fractions() -> None:
    samples = of_classes([20, 20])
    opposite = {
        s.pixels: "test" if subset_of_hash(s.pixels, shares_of(HALVES)) == "train" else "train" for s in samples[:5]
    }
    found = assign(samples, {"validation": 0.3, "test": 0.3}, opposite)
    assert found.splits[:5] == [opposite[s.pixels] for s in samples[:5]]


@pytest.mark.parametrize("carved, count", [(HALVES, 2), ({"validation": 0.2}, 1)])
def test_a_class_with_too_few_images_is_named_with_its_count(carved: dict[str, float], count: int) -> None:
    with pytest.raises(DataError, match=rf"'class1' has {count} different usable image"):
        assign(of_classes([9, count]), carved, {})


def test_one_image_of_a_class_is_enough_if_there_is_nothing_to_split() -> None:
    held_out = [Sample(pixels(900 + n), (f"class{n}",), split) for n in range(2) for split in ("validation", "test")]
    found = assign([*of_classes([1, 1]), *held_out], {}, {})
    assert found.splits == ["train", "train", "validation", "test", "validation", "test"]


def test_copies_of_one_image_are_not_several_images() -> None:
    samples = [*of_classes([9]), *[Sample(pixels(77), ("copies",))] * 30]
    with pytest.raises(DataError, match="'copies' has 1 different"):
        assign(samples, HALVES, {})


def test_a_side_that_earlier_runs_left_empty_is_an_error_that_says_so() -> None:
    samples = of_classes([6, 6])
    earlier = {s.pixels: "train" for s in samples}
    with pytest.raises(DataError, match=r"'class0' has no image left for test: 6 in train"):
        assign(samples, {"test": 0.2}, earlier)


def test_a_copy_of_a_named_test_image_leaves_the_training_images() -> None:
    pool = of_classes([8, 8])
    named = [Sample(pool[0].pixels, "class0", "test"), Sample(pixels(999), ("class1",), "test")]
    found = assign([*pool, *named], {"validation": 0.2}, {})
    assert found.splits[0] == "test"
    assert found.held_out == {pool[0].pixels}
    assert found.assignments[pool[0].pixels] == "test"


def test_an_image_once_in_test_never_comes_back_to_train() -> None:
    pool = of_classes([8, 8])
    first = assign([*pool, Sample(pixels(999), ("class0",), "test")], {"validation": 0.2}, {})
    later = assign([*pool, Sample(pixels(999), ("class0",))], {"validation": 0.2}, first.assignments)
    assert later.splits[-1] == "test"


# -- stratified sides and folds


fold_sizes = st.lists(st.integers(6, 30), min_size=2, max_size=4)


@given(fold_sizes, st.integers(2, 5), st.sampled_from([{}, {"test": 0.15}]), st.sampled_from([None, 0]))
@settings(max_examples=60, deadline=None)
def test_every_image_but_the_test_images_validates_in_exactly_one_fold(
    sizes: list[int], count: int, carved: dict[str, float], seed: int | None
) -> None:
    samples = of_classes(sizes)
    found = [assign(samples, carved, {}, folds=Folds(count, n + 1), seed=seed) for n in range(count)]
    assert len({tuple(sorted(one.assignments.items())) for one in found}) == 1
    for number in range(len(samples)):
        sides = Counter(one.splits[number] for one in found)
        assert sides in (Counter(validation=1, train=count - 1), Counter(test=count))
    for one in found:
        standing = {(s.labels, side) for s, side in zip(samples, one.splits, strict=True)}
        assert standing == {(s.labels, side) for s in samples for side in ("train", "validation", *carved)}


@given(fold_sizes, fold_sizes, st.sampled_from([None, 0]))
@settings(max_examples=60, deadline=None)
def test_adding_files_never_moves_an_image_to_another_fold(sizes: list[int], more: list[int], seed: int | None) -> None:
    samples = of_classes(sizes)
    first = assign(samples, {"test": 0.1}, {}, folds=Folds(5, 2), seed=seed)
    grown = samples + of_classes(more, first=5_000)
    second = assign(grown, {"test": 0.1}, first.assignments, folds=Folds(5, 3), seed=seed)
    assert first.assignments.items() <= second.assignments.items()


def test_folds_leave_the_sides_of_earlier_runs_as_they_were() -> None:
    samples = of_classes([40, 40])
    sided = assign(samples, HALVES, {})
    kept = Assignments().extended(sided.assignments)
    folded = assign(samples, {"test": 0.15}, kept.known(4), folds=Folds(4, 1))
    for before, now in zip(sided.splits, folded.splits, strict=True):
        assert (before == "test") == (now == "test")  # neither leaves the test images nor joins them
    after = kept.extended(folded.assignments)
    assert after.splits == kept.splits
    assert assign(samples, HALVES, after.known()).splits == sided.splits


def test_a_class_with_fewer_images_than_folds_is_named() -> None:
    with pytest.raises(DataError, match=r"'class1' has 4 different usable images for 5 folds and test; at least 6"):
        assign(of_classes([20, 4]), {"test": 0.1}, {}, folds=Folds(5, 1))


questions = st.lists(st.tuples(st.sampled_from([0, 2, 3, 5]), st.sampled_from([None, 0])), min_size=2, max_size=4)


@given(fold_sizes, questions, st.data())
@settings(max_examples=60, deadline=None)
def test_sides_and_folds_of_every_count_stay_whatever_is_asked_in_between(
    sizes: list[int], asked: list[tuple[int, int | None]], data: st.DataObject
) -> None:
    samples, kept = of_classes(sizes), Assignments()
    for step, (count, seed) in enumerate(asked):
        samples = samples + of_classes([data.draw(st.integers(0, 5)) for _ in sizes], first=1000 * (step + 1))
        carved = {"test": data.draw(st.sampled_from([0.1, 0.3])), **({} if count else {"validation": 0.2})}
        folds = Folds(count, 1) if count else None
        trained = kept.splits.keys() | {pixels for places in kept.folds.values() for pixels in places}
        tested = {pixels for pixels, side in kept.splits.items() if side == "test"}
        try:
            found = assign(samples, carved, kept.known(count), folds=folds, seed=seed)
        except DataError:
            return  # everything new is too little for a side that what was trained on may not go to
        after = kept.extended(found.assignments)
        assert set(kept.rows()) <= set(after.rows())
        assert {pixels for pixels, sides in held_by(samples, found).items() if "test" in sides} & trained == tested
        assert Assignments.of(after.rows()) == after
        assert assign(samples, carved, after.known(count), folds=folds, seed=seed).splits == found.splits
        kept = after
