"""Rules that images must keep before training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transfercli.data.dataset import Dataset
from transfercli.errors import DataError

Load = Callable[..., Dataset]


TWO = {"cat": 20, "dog": 20}


def test_too_many_bad_files_are_an_error_that_lists_some_and_text_files_do_not_count(
    tmp_path: Path, grow: Any, load: Load
) -> None:
    grow(tmp_path / "images", TWO)
    for n in range(9):
        (tmp_path / "images" / "cat" / f"notes{n}.txt").write_text("notes")
    load(tmp_path, max_bad_fraction=0)
    for n in range(7):
        (tmp_path / "images" / "cat" / f"bad{n}.jpg").write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        load(tmp_path, max_bad_fraction=0.1)
    assert "7 of 47 images cannot be used: 'cat/bad0.jpg' (not an image" in caught.value.message
    assert "and 2 more" in caught.value.message


def test_a_class_whose_images_are_all_bad_is_named(tmp_path: Path, grow: Any, load: Load) -> None:
    grow(tmp_path / "images", TWO)
    (tmp_path / "images" / "gone").mkdir()
    (tmp_path / "images" / "gone" / "1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"class 'gone' has no usable image: 'gone/1.jpg' \(zero bytes\)"):
        load(tmp_path, max_bad_fraction=1)


def test_an_image_in_two_classes_is_told(tmp_path: Path, grow: Any, load: Load, reporter: Any) -> None:
    images = grow(tmp_path / "images", TWO)
    load(tmp_path)
    assert reporter.warnings == []
    first = sorted((images / "cat").iterdir())[0]
    (images / "dog" / "same.png").write_bytes(first.read_bytes())
    load(tmp_path)
    said = f"2 images with the same pixels as an image of another class: 'cat/{first.name}', 'dog/same.png'"
    assert [said in text for text in reporter.warnings] == [True]
