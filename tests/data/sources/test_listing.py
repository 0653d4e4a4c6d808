"""Listings: the images of a config, with their classes and splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.sources.listings import listed, names, touch
from transfercli.data.sources.listing import list_split
from transfercli.data.sources.table_format import TableFormat
from transfercli.errors import ConfigError, DataError
from transfercli.reporting import Reporter


@pytest.mark.parametrize("validation", ["validation", "val", "valid", "Val"])
def test_sides_inside_the_folder_come_before_the_default_fractions(validation: str, tmp_path: Path) -> None:
    touch(tmp_path / "images", *(f"{side}/{c}/1.jpg" for side in ("train", validation, "test") for c in "ab"))
    found = listed(tmp_path)
    assert found.fractions == {}
    assert names(found, "validation") == [f"{validation}/a/1.jpg", f"{validation}/b/1.jpg"]
    assert names(found, "test") == ["test/a/1.jpg", "test/b/1.jpg"]


def test_only_the_side_that_is_missing_is_carved(tmp_path: Path) -> None:
    touch(tmp_path / "images", *(f"{side}/{c}/1.jpg" for side in ("train", "test") for c in "ab"))
    assert listed(tmp_path).fractions == {"validation": 0.15}
    assert listed(tmp_path, test=0.5).fractions == {"validation": 0.15}


def test_fractions_that_leave_nothing_to_train_on_are_a_mistake_of_the_config(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a/1.jpg", "b/1.jpg")
    with pytest.raises(ConfigError, match=r"data.validation: 0.6 and data.test: 0.4 leave no image to train on"):
        listed(tmp_path, validation=0.6, test=0.4)
    touch(tmp_path / "sides", *(f"{side}/{c}/1.jpg" for side in ("train", "test") for c in "ab"))
    assert listed(tmp_path, "sides", validation=0.9).fractions == {"validation": 0.9}


def test_test_null_leaves_the_test_folder_unused(tmp_path: Path) -> None:
    touch(tmp_path / "images", *(f"{side}/{c}/1.jpg" for side in ("train", "test") for c in "ab"))
    found = listed(tmp_path, test=None)
    assert names(found, "test") == []
    assert found.fractions == {"validation": 0.15}


def test_paths_elsewhere_are_named_from_the_data_root_and_win_over_folders_inside(tmp_path: Path) -> None:
    touch(tmp_path / "images", "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg")
    touch(tmp_path / "other", "a/9.jpg")
    found = listed(tmp_path, test="other", validation="other")
    assert names(found, "test") == names(found, "validation") == ["../other/a/9.jpg"]


def test_an_empty_class_folder_is_an_error_in_train_and_fine_in_test(tmp_path: Path) -> None:
    touch(tmp_path / "images", *(f"{side}/{c}/1.jpg" for side in ("train", "test") for c in "ab"))
    (tmp_path / "images" / "test" / "c").mkdir()
    assert len(names(listed(tmp_path), "test")) == 2
    (tmp_path / "images" / "train" / "c").mkdir()
    with pytest.raises(DataError, match="class 'c' has no images: its folder holds nothing"):
        listed(tmp_path)


@pytest.mark.parametrize("key", ["train", "validation", "test"])
def test_a_path_that_does_not_exist_is_named_with_the_place_looked_at(key: str, tmp_path: Path) -> None:
    touch(tmp_path / "images", "a/1.jpg", "b/1.jpg")
    with pytest.raises(DataError) as caught:
        listed(tmp_path, **{"train": "images", key: "nowhere"})
    assert f"data.{key}: 'nowhere' does not exist (looked for {str(tmp_path / 'nowhere')!r})" in caught.value.message


def test_a_file_of_another_kind_is_told_what_is_allowed(tmp_path: Path) -> None:
    touch(tmp_path, "images.zip")
    with pytest.raises(DataError) as caught:
        listed(tmp_path, "images.zip")
    assert "keras:NAME" in (caught.value.hint or "")


def test_one_side_is_found_in_a_folder_of_classes_a_folder_of_sides_and_a_table(tmp_path: Path) -> None:
    touch(tmp_path, "flat/a/1.jpg", "sides/train/a/1.jpg", "sides/test/a/2.jpg")
    (tmp_path / "list.csv").write_text("path,label,split\n3.jpg,a,train\n4.jpg,a,test\n")
    (tmp_path / "plain.csv").write_text("path,label\n5.jpg,a\n")
    found = {
        name: list_split(tmp_path / name, "test", tmp_path, TableFormat(), Reporter())
        for name in ("flat", "sides", "list.csv", "plain.csv")
    }
    assert {name: [(i.name, i.split) for i in items] for name, items in found.items()} == {
        "flat": [("flat/a/1.jpg", "test")],
        "sides": [("sides/test/a/2.jpg", "test")],
        "list.csv": [("4.jpg", "test")],
        "plain.csv": [("5.jpg", "test")],
    }
    with pytest.raises(DataError, match="no folder for validation: found test, train"):
        list_split(tmp_path / "sides", "validation", tmp_path, TableFormat(), Reporter())
    with pytest.raises(DataError, match="no rows whose split is validation"):
        list_split(tmp_path / "list.csv", "validation", tmp_path, TableFormat(), Reporter())
