"""Groups of images, by a pattern on the path or by a column."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from transfercli.data.dataset import Dataset
from transfercli.errors import DataError

Load = Callable[..., Dataset]


# An image: its pixels (few, so that copies occur), its class and its group (few also; 0 for none).
images = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 2), st.integers(0, 12)), min_size=1, max_size=60)


@pytest.mark.parametrize("group", [r"^([^/]+/\d{3})", r"\w+/\d{3}"])
def test_a_regular_expression_on_the_path_groups_by_its_first_group_or_all_that_matches(
    tmp_path: Path, grow: Any, load: Load, reporter: Any, group: str
) -> None:
    dataset = load(grow(tmp_path / "images", {"cat": 80, "dog": 80}).parent, group=group)
    sides = defaultdict(set)
    for record in dataset.records:
        sides[record.path[:7]].add(record.split)  # cat/000, cat/001, …: ten images each
    assert all(len(found) == 1 for found in sides.values())
    assert not any("no group" in text for text in reporter.warnings)


def test_an_expression_that_matches_nothing_says_what_was_tried_and_one_that_misses_some_warns(
    tmp_path: Path, grow: Any, load: Load, reporter: Any
) -> None:
    grow(tmp_path / "images", {"cat": 20, "dog": 20})
    with pytest.raises(
        DataError, match=r"data.group: 'patient(.*)' is not a column .* none of 40 paths .*'cat/0000.png'"
    ):
        load(tmp_path, group="patient(.*)")
    load(tmp_path, group=r"cat/\d+")
    assert "20 of 40 images have no group by the regular expression" in reporter.warnings[0]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_column_of_the_table_groups(tmp_path: Path, grow: Any, load: Load, kind: str) -> None:
    import json

    grow(tmp_path / "images", {"cat": 40, "dog": 40})
    rows = [
        {"path": f"images/{label}/{first + n:04d}.png", "label": label, "who": n % 8}
        for label, first in (("cat", 0), ("dog", 40))
        for n in range(40)
    ]
    with (tmp_path / f"list.{kind}").open("w", newline="") as file:
        if kind == "csv":
            writer = csv.DictWriter(file, ["path", "label", "who"])
            writer.writeheader()
            writer.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    with pytest.raises(DataError, match=r"data\.group: 'woh' is not a column") as raised:
        load(tmp_path, f"list.{kind}", group="woh")
    assert (raised.value.hint or "").startswith("did you mean 'who'? the table has the columns path, label, who; ")
    dataset = load(tmp_path, f"list.{kind}", group="who")
    split_of = {record.path: record.split for record in dataset.records}
    sides = defaultdict(set)
    for row in rows:
        sides[row["who"]].add(split_of[str(row["path"])])
    assert all(len(found) == 1 for found in sides.values())
    assert {side for found in sides.values() for side in found} == {"train", "validation", "test"}
