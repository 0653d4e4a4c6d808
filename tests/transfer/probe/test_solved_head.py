"""Images of a solved head's cross-validation: which are held out, and which stay together."""

from __future__ import annotations

import numpy as np

from transfercli.data.dataset import Split
from transfercli.rows import ArrayRows
from transfercli.transfer.probe.solved_head import groups_of, new_to_base


def split(files: str, pixels: str, groups: tuple[str, ...] = (), targets: str = "") -> Split:
    """A split of files; files whose letters in `pixels` are equal are copies. targets: a digit for each file."""
    images = ArrayRows(np.zeros((len(files), 1, 1, 3), "uint8"))
    classes = np.array([int(target) for target in targets or "0" * len(files)], "int32")
    return Split("", tuple(files), classes, ("a", "b"), images, tuple(files), (), (), groups, tuple(pixels))


def test_copies_of_an_image_are_one_group_across_splits() -> None:
    a, b, c, d, e = groups_of([split("abc", "xyx"), split("de", "zy")])
    assert a == c != b == e
    assert d == ""
    assert groups_of([split("ab", "xy"), split("c", "z")]) == ()


def test_copies_join_the_groups_that_they_are_in() -> None:
    found = groups_of([split("abc", "xyx", ("p", "p", "q")), split("de", "zw", ("q", ""))])
    assert len({*found[:4]}) == 1
    assert found[4] == ""


def test_images_that_the_base_was_trained_on_are_not_held_out() -> None:
    splits = [split("abcd", "abcd", targets="0101"), split("efgh", "efgh", targets="0101")]
    assert new_to_base(splits, frozenset()) is None
    found = new_to_base(splits, {"a", "b", "c", "d"})
    assert found is not None
    assert found.tolist() == [False] * 4 + [True] * 4


def test_nothing_is_held_out_if_a_class_has_a_single_new_image() -> None:
    splits = [split("abcd", "abcd", targets="0101"), split("efgh", "efgh", targets="0001")]
    found = new_to_base(splits, {"a", "b", "c", "d"})
    assert found is not None
    assert not found.any()
