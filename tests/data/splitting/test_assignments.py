"""Assignments: the splits and folds that an experiment decided for its images."""

from __future__ import annotations

import pytest

from transfercli.data.splitting.assignments import Assignments, fold_count, fold_name

ROWS = [("a", "train"), ("b", "test"), ("a", "fold 1/5"), ("b", "fold 2/5"), ("c", "fold 3/10")]


def test_rows_come_back_sorted_whatever_their_order() -> None:
    assert list(Assignments.of(ROWS).rows()) == sorted(ROWS)
    assert Assignments.of(reversed(ROWS)) == Assignments.of(ROWS)


@pytest.mark.parametrize(
    "rows, message",
    [
        ([("a", "holdout")], "'holdout' is not one of train"),
        ([("a", "train"), ("a", "test")], "is assigned to both train and test"),
    ],
)
def test_unknown_and_contradicting_rows_are_refused(rows: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Assignments.of(rows)


def test_a_test_image_stays_one_and_a_fold_of_the_same_count_counts_before_the_split() -> None:
    assignments = Assignments.of(ROWS)
    assert assignments.known() == {"a": "train", "b": "test", "c": "fold 3/10"}
    assert assignments.known(5) == {"a": "fold 1/5", "b": "test", "c": "fold 3/10"}


def test_a_fold_is_decided_once_and_a_split_may_change() -> None:
    later = Assignments.of(ROWS).extended({"a": "fold 4/5", "c": "train"}).extended({"c": "test"})
    assert later.folds[5]["a"] == "fold 1/5"
    assert later.splits == {"a": "train", "b": "test", "c": "test"}


def test_a_fold_knows_how_many_there_are_and_a_split_is_not_a_fold() -> None:
    assert fold_count(fold_name(2, 5)) == 5
    assert [fold_count(name) for name in ("train", "fold 2", "fold x/5")] == [0, 0, 0]


def test_an_image_with_a_new_hash_keeps_its_split_and_all_its_folds() -> None:
    renamed = Assignments.of(ROWS).with_new_hashes({"A": ["a"], "B": ["a", "b"], "c": ["b"], "d": ["unknown"]})
    assert renamed.splits == {"a": "train", "b": "test", "A": "train", "B": "test", "c": "test"}
    assert renamed.folds[5] == {"a": "fold 1/5", "b": "fold 2/5", "A": "fold 1/5", "B": "fold 2/5", "c": "fold 2/5"}
    assert renamed.folds[10] == {"c": "fold 3/10"}
    assert renamed.has("A")
    assert not renamed.has("d")
