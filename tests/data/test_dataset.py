"""Splits and records of a dataset."""

from __future__ import annotations

import numpy as np

from transfercli.data.dataset import Dataset, Record, Split
from transfercli.rows import ArrayRows


def test_the_counts_of_a_split_name_all_classes_also_those_without_an_image() -> None:
    images = ArrayRows(np.zeros((3, 2, 2, 3), np.uint8))
    split = Split(
        "test", ("a", "b", "c"), np.array([2, 0, 2], np.int32), ("cat", "dog", "owl"), images, ("1", "2", "3")
    )
    assert len(split) == 3
    assert split.counts() == {"cat": 1, "dog": 0, "owl": 2}


def test_bad_records_are_those_with_a_problem_in_their_order() -> None:
    records = tuple(
        Record(name, "", "cat", "", problem=problem) for name, problem in (("b", "cut"), ("a", ""), ("c", "x"))
    )
    assert [record.path for record in Dataset("images", records, ("cat",), {}).bad] == ["b", "c"]
