"""Unlabelled images: any tree of them, as one split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.data.ingest import Reading
from transfercli.data.unlabelled_images import UNKNOWN, list_unlabelled, load_unlabelled
from transfercli.errors import DataError


def test_images_at_any_depth_become_a_split_of_one_class_in_the_order_of_their_paths(
    tmp_path: Path, grow: Any, reading: Reading
) -> None:
    grow(tmp_path / "b" / "deep", {"er": 2})
    grow(tmp_path, {"a": 1}, first=9)
    (tmp_path / "notes.txt").write_text("no image")
    split = load_unlabelled(list_unlabelled(tmp_path, reading), reading)
    assert split.paths == ("a/0009.png", "b/deep/er/0000.png", "b/deep/er/0001.png")
    assert (split.labels, split.targets.tolist()) == ((UNKNOWN,), [0, 0, 0])
    assert split.images.read(np.arange(3)).shape == (3, 16, 16, 3)


def test_a_place_without_images_is_a_data_error(tmp_path: Path, reading: Reading) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.png").touch()
    for name, message in (("gone", "does not exist"), ("empty", "has no images"), ("file.png", "is not a folder")):
        with pytest.raises(DataError, match=message):
            list_unlabelled(tmp_path / name, reading)


def test_too_many_unreadable_images_are_a_data_error_and_few_a_warning(
    tmp_path: Path, grow: Any, reading: Reading, reporter: Any
) -> None:
    grow(tmp_path, {"a": 120})
    (tmp_path / "a" / "0000.png").write_bytes(b"damaged")
    assert len(load_unlabelled(list_unlabelled(tmp_path, reading), reading)) == 119
    assert "1 of 120 images cannot be used" in reporter.warnings[0]
    for number in range(10):
        (tmp_path / "a" / f"{number:04d}.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match="10 of 120 images cannot be used"):
        load_unlabelled(list_unlabelled(tmp_path, reading), reading)
