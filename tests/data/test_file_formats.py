"""Files known by their first bytes: images without an extension, and files that stand in for an image."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.sources.listings import listed
from transfercli.data.dataset import Dataset
from transfercli.data.file_formats import format_of
from transfercli.data.sources.inputs import expand_inputs
from transfercli.data.sources.watch import watch_folder
from transfercli.errors import DataError

Load = Callable[..., Dataset]


@pytest.fixture
def images(tmp_path: Path, grow: Any) -> Path:
    """24 images of two classes, half of those of `cat` without the extension of an image."""
    folder = grow(tmp_path / "images", {"cat": 12, "dog": 12})
    for number, path in enumerate(sorted((folder / "cat").iterdir())[:6]):
        path.rename(path.with_name(path.stem + (".png?w=640" if number % 2 else "")))
    return folder


def test_images_without_an_extension_are_read(images: Path, load: Load, reporter: Any) -> None:
    assert len([record for record in load(images.parent).records if not record.problem]) == 24
    assert reporter.warnings == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"])
def test_every_format_is_known_without_an_extension(kind: str, tmp_path: Path, digit: Any) -> None:
    for label in ("a", "b"):
        (tmp_path / "images" / label).mkdir(parents=True)
        digit(3).save(tmp_path / "images" / label / "0123", kind)
    assert [(item.problem, item.is_image) for item in listed(tmp_path).items] == [("", True)] * 2


def test_a_text_that_begins_like_a_bitmap_is_a_text() -> None:
    assert format_of(b"BMW and other makers of cars\n") == ""


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("0123", b"\0\0\0\x0cJXL \r\n\x87\n", "not read: a JPEG XL file"),
        ("x.png?w=640", b"<!DOCTYPE html><html>", "a web page, not an image"),
        ("x.png", b"<html><body>404", "a web page, not an image"),
        ("x.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "a Git LFS pointer"),
        ("x.jpg", b"/annex/objects/SHA256E-s5--1.jpg\n", "a git-annex pointer"),
    ],
)
def test_what_looks_like_an_image_and_is_none_counts_against_the_bad_fraction(
    name: str, content: bytes, said: str, tmp_path: Path, grow: Any, load: Load
) -> None:
    grow(tmp_path / "images", {"cat": 12, "dog": 12})
    (tmp_path / "images" / "cat" / name).write_bytes(content)
    with pytest.raises(DataError, match="1 of 25 images cannot be used") as caught:
        load(tmp_path)
    assert said in caught.value.message


def test_other_files_are_still_no_images(tmp_path: Path, grow: Any, load: Load, reporter: Any) -> None:
    grow(tmp_path / "images", {"cat": 12, "dog": 12})
    (tmp_path / "images" / "cat" / "README").write_text("cats")
    os.mkfifo(tmp_path / "images" / "cat" / "pipe")
    assert len(load(tmp_path).records) == 26
    assert "2 files left out, not an image" in reporter.warnings[0]


def test_predictions_take_the_same_files(images: Path) -> None:
    assert len(list(expand_inputs([str(images)], lambda: iter(())))) == 24
    turns = iter(range(3))
    watched = watch_folder(images, sleep=lambda _: None if next(turns) < 2 else pytest.fail("nothing was found"))
    assert len([next(watched) for _ in range(24)]) == 24
