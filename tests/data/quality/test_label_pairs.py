from __future__ import annotations

import numpy as np

from transfercli.data.label_sets import LabelSet
from transfercli.data.quality.label_pairs import EXCLUSIVE, IMPLIED, SAME, LabelPair, co_occurrence


def sets_of(has: np.ndarray, names: list[str]) -> list[LabelSet]:
    return [LabelSet.of(np.array(names, object)[row]) for row in has]


def test_numbers_of_images_with_both_labels() -> None:
    sets = [LabelSet(("a", "b")), LabelSet(("a",), ("b",)), LabelSet(), LabelSet(("b",))]
    found = co_occurrence(sets, ["a", "b", "c"])
    assert found.together.tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert found.unknown == {"b": 1}
    assert found.pairs == []


def test_labels_that_chance_does_not_explain_are_found_with_their_numbers() -> None:
    has = np.random.default_rng(0).random((400, 6)) < 0.3
    has[:, 1] = has[:, 0]  # two names for one thing
    has[:, 3] &= has[:, 2]  # a dog is an animal
    has[:, 5] &= ~has[:, 4]
    sums, both = has.sum(axis=0), (has[:, 2] & has[:, 3]).sum()
    assert co_occurrence(sets_of(has, list("abcdef")), list("abcdef")).pairs == [
        LabelPair("a", "b", SAME, sums[0], sums[0], sums[0]),
        LabelPair("d", "c", IMPLIED, both, sums[3], sums[2]),
        LabelPair(*("ef" if sums[4] < sums[5] else "fe"), EXCLUSIVE, 0, *sorted(sums[4:])),
    ]


def test_independent_and_rare_labels_are_no_findings() -> None:
    for seed in range(20):
        has = np.random.default_rng(seed).random((200, 8)) < np.geomspace(0.5, 0.01, 8)
        assert co_occurrence(sets_of(has, list("abcdefgh")), list("abcdefgh")).pairs == []


def test_images_in_which_a_label_is_unknown_say_nothing_of_its_pairs() -> None:
    rows = [LabelSet(("a", "b"))] * 30 + [LabelSet()] * 30
    assert [pair.kind for pair in co_occurrence(rows, ["a", "b"]).pairs] == [SAME]
    more = [*rows, *[LabelSet(("a",), ("b",))] * 30]
    assert co_occurrence(more, ["a", "b"]).pairs == [LabelPair("a", "b", SAME, 30, 30, 30)]
    assert co_occurrence([*rows, *[LabelSet(("a",))] * 30], ["a", "b"]).pairs[0].kind == IMPLIED
