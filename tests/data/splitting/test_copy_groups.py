"""Images of one group stay on one side, whatever is added and however copies join groups."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfercli.data.splitting.copy_groups import Sample, key_of_group, units_of
from transfercli.data.splitting.splits import assign
from transfercli.errors import DataError

HALVES = {"validation": 0.2, "test": 0.2}


def pixels(n: int) -> str:
    return key_of_group(f"pixels {n}")


# An image: its pixels (few, so that copies occur), its class and its group (few also; 0 for none).
images = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2), st.integers(0, 12)), min_size=1, max_size=60)


def samples_of(found: list[tuple[int, int, int]]) -> list[Sample]:
    wide = [(1000 + 3 * n + label, label, 0) for label in range(3) for n in range(0, 30, 3)]  # every class has enough
    return [
        Sample(pixels(n), (f"class{label}",), group=f"person{group}" if group else "")
        for n, label, group in wide + found
    ]


@given(images, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_a_group_and_its_copies_stand_on_one_side_in_any_order(
    found: list[tuple[int, int, int]], shuffler: random.Random
) -> None:
    samples = samples_of(found)
    sides = assign(samples, HALVES, {})
    for unit in units_of(samples):
        assert len({sides.assignments[one] for one in unit.pixels}) == 1
    together = defaultdict(set)
    for sample, side in zip(samples, sides.splits, strict=True):
        together[sample.group or sample.pixels].add(side)
        together[sample.pixels].add(side)
    assert all(len(found) == 1 for found in together.values())
    mixed = samples.copy()
    shuffler.shuffle(mixed)
    assert assign(mixed, HALVES, {}).assignments == sides.assignments


@given(images, images, st.booleans())
@settings(max_examples=150, deadline=None)
def test_adding_files_never_moves_an_image_of_a_group(
    before: list[tuple[int, int, int]], added: list[tuple[int, int, int]], exact: bool
) -> None:
    seed = 3 if exact else None
    first = assign(samples_of(before), HALVES, {}, seed=seed)
    second = assign(samples_of(before + added), HALVES, first.assignments, seed=seed)
    assert first.assignments.items() <= second.assignments.items()


def test_the_side_of_a_group_follows_from_its_name_and_not_from_its_images() -> None:
    def side(first: int) -> str:
        return assign(
            [*samples_of([]), *(Sample(pixels(first + n), ("class0",), group="anna") for n in range(5))], HALVES, {}
        ).assignments[pixels(first)]

    assert side(5000) == side(6000) == side(7000)


def test_a_copy_in_two_groups_joins_them() -> None:
    units = units_of([Sample("a", ("x",), group="g"), Sample("b", ("x",), group="h"), Sample("a", ("x",), group="h")])
    assert [(unit.pixels, unit.name) for unit in units] == [(("a", "b"), "g")]
    assert units[0].key == min(key_of_group("g"), key_of_group("h"))


def test_training_images_of_a_group_with_test_images_go_there() -> None:
    pool = [Sample(pixels(n), (f"class{n % 2}",), group=f"p{n}") for n in range(20)]
    found = assign([*pool, Sample(pixels(99), ("class0",), "test", "p4")], {"validation": 0.2}, {})
    assert found.splits[4] == "test"
    assert found.moved_with_group == {pixels(4)}
    assert found.divided_groups == ()


def test_a_group_that_earlier_runs_tore_keeps_its_images_and_is_named() -> None:
    pool = [Sample(pixels(n), (f"class{n % 2}",), group="p" if n < 3 else "") for n in range(20)]
    earlier = {pixels(0): "train", pixels(1): "test"}
    found = assign(pool, HALVES, earlier)
    assert found.splits[:3] == ["train", "test", "test"]  # a new image of it goes to the stricter side
    assert found.divided_groups == ("p",)


def test_a_class_with_fewer_groups_than_sides_is_named() -> None:
    pool = [Sample(pixels(n), (f"class{n % 2}",), group="one" if n % 2 else f"g{n}") for n in range(30)]
    with pytest.raises(DataError, match=r"'class1' has no group left .* 15 different images are in 1 group "):
        assign(pool, HALVES, {})
