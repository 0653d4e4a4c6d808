from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from transfercli.config.paths import ConfigPath
from transfercli.data.dataset import Dataset
from transfercli.data.ingest import Reading
from transfercli.data.load import load_recorded_split
from transfercli.data.recorded_images import CHANGED, read_remaining

Load = Callable[..., Dataset]


def test_what_is_left_of_recorded_images_is_read_and_the_rest_told(
    tmp_path: Path, grow: Any, load: Load, reading: Reading, png: Callable[[int], bytes]
) -> None:
    found = load(grow(tmp_path / "images", {"cat": 12, "dog": 12}).parent)
    train = found.splits["train"]
    records = [one for one in found.records if one.split == "train"]
    assert [one.path for one in records] == list(train.paths)
    gone, other = records[0].path, records[1].path
    (tmp_path / "images" / gone).unlink()
    (tmp_path / "images" / other).write_bytes(png(700))
    left = read_remaining(records, ConfigPath("images", tmp_path), reading)
    assert set(left.rows) == set(train.paths[2:])
    assert left.lost.keys() == {gone, other}
    assert left.lost[other] == CHANGED
    for index in (2, len(train) - 1):
        assert np.array_equal(left.read(train.paths[index]), train.images.read(np.array([index]))[0])


def test_a_folder_that_is_gone_leaves_nothing_and_stops_nothing(
    tmp_path: Path, grow: Any, load: Load, reading: Reading
) -> None:
    found = load(grow(tmp_path / "images", {"cat": 12, "dog": 12}).parent)
    shutil.rmtree(tmp_path / "images")
    left = read_remaining(found.records, ConfigPath("images", tmp_path), reading)
    assert left.rows == {}
    assert left.lost.keys() == {one.path for one in found.records}
    assert read_remaining([], ConfigPath("images", tmp_path), reading) == type(left)()


def test_a_keras_set_that_cannot_be_had_is_told_for_each_image(
    tmp_path: Path, grow: Any, load: Load, reading: Reading
) -> None:
    found = load(grow(tmp_path / "images", {"cat": 12, "dog": 12}).parent)
    records = [replace(one, path="test/00001") for one in found.records[:1]]
    left = read_remaining(records, "keras:unknown", reading)
    assert left.rows == {}
    assert "not a known data set" in left.lost["test/00001"]


def test_the_group_of_an_image_is_kept_with_its_record_and_its_split(
    tmp_path: Path, grow: Any, load: Load, reading: Reading
) -> None:
    root = grow(tmp_path / "images", {"cat": 12, "dog": 12}).parent
    found = load(root, group=r"(\d)\.\w+$")
    assert len({image.group for image in found.records}) > 3
    for name, split in found.splits.items():
        recorded = {image.path: image.group for image in found.records if image.split == name}
        assert dict(zip(split.paths, split.groups, strict=True)) == recorded
    again = load_recorded_split(found.records, str(root / "images"), "train", found.labels, reading)
    assert again.groups == found.splits["train"].groups
