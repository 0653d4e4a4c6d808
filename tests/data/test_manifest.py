from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transfercli.data.dataset import Dataset, Record
from transfercli.data.manifest import (
    read_assignments,
    read_manifest,
    read_pixels,
    update_assignments,
    write_assignments,
    write_manifest,
    write_pixels,
)
from transfercli.data.sources.labels import names_of_stored
from transfercli.data.splitting.assignments import Assignments
from transfercli.errors import ArtefactError, SplitsChangedError

NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name).map(os.fsdecode)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
RECORDS = st.builds(
    Record, NAMES, st.just("ab" * 32), TEXT, st.sampled_from(["train", ""]), st.integers(0, 9), st.integers(0, 9), TEXT
)
IN_ONE_FOLDER = [HealthCheck.function_scoped_fixture]


@given(st.lists(RECORDS, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=IN_ONE_FOLDER)
def test_any_file_name_and_label_survives_the_round_trip(tmp_path: Path, records: list[Record]) -> None:
    write_manifest(tmp_path / "dataset.csv", records)
    names = names_of_stored(record.label for record in records)
    assert read_manifest(tmp_path / "dataset.csv") == [replace(one, label=names[one.label]) for one in records]


def test_hostile_names_survive_the_round_trip(tmp_path: Path) -> None:
    names = [
        "a,b.png",
        'say "hi".png',
        "two\nlines.png",
        "cr\r\n.png",
        "=1+2.png",
        "\udce9.png",
        " ",
        "日本/é.png",
        "#",
    ]
    records = [Record(name, "", name.replace("\udce9", "e"), "test") for name in names]
    write_manifest(tmp_path / "dataset.csv", records)
    assert read_manifest(tmp_path / "dataset.csv") == records


def test_the_columns_are_those_of_the_contract(tmp_path: Path) -> None:
    write_manifest(tmp_path / "dataset.csv", [Record("a.png", "f" * 64, "cat", "train", 3, 2)])
    assert (tmp_path / "dataset.csv").read_text() == (
        f"path,sha256,label,split,width,height,problem\na.png,{'f' * 64},cat,train,3,2,\n"
    )


def test_a_group_has_its_own_column_only_if_there_are_groups(tmp_path: Path) -> None:
    records = [Record("a.png", "f" * 64, "cat", "train", 3, 2, group="anna"), Record("b.png", "e" * 64, "cat", "test")]
    write_manifest(tmp_path / "dataset.csv", records)
    assert (tmp_path / "dataset.csv").read_text().splitlines()[0].endswith(",problem,group")
    assert read_manifest(tmp_path / "dataset.csv") == records


def test_assignments_survive_the_round_trip_and_equal_ones_are_equal_bytes(tmp_path: Path) -> None:
    one = Assignments({"b" * 64: "test", "a" * 64: "train"}, {10: {"a" * 64: "fold 9/10"}, 5: {"a" * 64: "fold 2/5"}})
    write_assignments(tmp_path / "a.csv", one)
    again = read_assignments(tmp_path / "a.csv")
    assert again == one
    write_assignments(tmp_path / "b.csv", again)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_no_assignments_yet_is_an_empty_table(tmp_path: Path) -> None:
    assert read_assignments(tmp_path / "splits.csv") == Assignments()


@pytest.mark.parametrize(
    "content, said",
    [
        ("path,sha256\n", "has the columns path,sha256"),
        ("path,sha256,label,split,width,height,problem\na,b,c\n", "damaged near line 2"),
        ("path,sha256,label,split,width,height,problem\na,b,c,train,x,2,\n", "not a number"),
        ('path,sha256,label,split,width,height,problem\n"a', "damaged"),
        ("", "(none)"),
    ],
)
def test_a_damaged_manifest_is_told(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.csv").write_text(content)
    with pytest.raises(ArtefactError) as caught:
        read_manifest(tmp_path / "dataset.csv")
    assert said in caught.value.message


@pytest.mark.parametrize(
    "rows, said",
    [
        ("ab,training\n", "'training' is not one of"),
        ("ab,train\nab,test\n", "ab… is assigned to both train and test"),
        ("ab,fold 1/5\nab,fold 2/5\n", "to both fold 1/5 and fold 2/5"),
    ],
)
def test_assignments_that_are_none_or_contradict_each_other_are_told(rows: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text(f"pixels,split\n{rows}")
    with pytest.raises(ArtefactError, match=said):
        read_assignments(tmp_path / "splits.csv")


def test_a_missing_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="missing"):
        read_manifest(tmp_path / "dataset.csv")


def test_hashes_of_pixels_survive_the_round_trip_and_none_are_known_where_there_is_no_list(tmp_path: Path) -> None:
    file = tmp_path / "pixels.csv"
    assert read_pixels(file) == {}
    a, b, c, pixels = (digit * 64 for digit in "abc1")
    write_pixels(file, {b: a, a: pixels, c: pixels})
    content = f"sha256,pixels\n{a},{pixels}\n{b},{a}\n{c},{pixels}\n"
    assert file.read_text() == content
    assert read_pixels(file) == {a: pixels, b: a, c: pixels}
    damaged = (f"sha256,pixels\n{a}\n", content[:-20], f"sha256,pixels\n{a},{'g' * 64}\n", f"sha256,pixels\n,{a}\n")
    for text in damaged:
        file.write_text(text)
        with pytest.raises(ArtefactError, match=r"pixels\.csv.* is damaged"):
            read_pixels(file)


def dataset(assigned: dict[str, str], earlier: dict[str, str]) -> Dataset:
    return Dataset("", (), (), {}, assignments=Assignments(assigned), earlier=Assignments(earlier))


def test_assignments_that_another_process_added_meanwhile_stay(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    update_assignments(path, dataset({"a": "train"}, {}))
    update_assignments(path, dataset({"a": "train", "b": "test"}, {}))  # read before the first was written
    assert read_assignments(path).splits == {"a": "train", "b": "test"}
    update_assignments(path, dataset({"c": "train"}, {}))
    assert read_assignments(path).splits == {"a": "train", "b": "test", "c": "train"}
    with pytest.raises(SplitsChangedError, match="other splits"):
        update_assignments(path, dataset({"a": "validation"}, {}))
    known = dict(read_assignments(path).splits)
    update_assignments(path, dataset({**known, "a": "test"}, known))  # as its config says, which nobody contradicts
    assert read_assignments(path).splits["a"] == "test"
