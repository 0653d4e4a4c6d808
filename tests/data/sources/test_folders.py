from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.data.sources.listings import listed, names, touch
from transfercli.config.paths import ConfigPath
from transfercli.data.sources.folders import absolute, relative
from transfercli.data.sources.listing import base_folder
from transfercli.errors import DataError


def test_a_flat_folder_is_one_class_a_sub_folder_sorted_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "images", "dog/2.jpg", "dog/10.jpg", "Cat/b.PNG", "cat/deep/er/a.tiff", "éclair/a b.webp")
    found = listed(tmp_path)
    assert names(found) == ["Cat/b.PNG", "cat/deep/er/a.tiff", "dog/10.jpg", "dog/2.jpg", "éclair/a b.webp"]
    assert [item.label for item in found.items] == ["Cat", "cat", "dog", "dog", "éclair"]
    assert found.fractions == {"validation": 0.15, "test": 0.15}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path / "images", "train/1.jpg", "plane/1.jpg")
    assert {item.label for item in listed(tmp_path).items} == {"train", "plane"}


def test_two_folders_for_one_side_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "images", "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/1.jpg")
    with pytest.raises(DataError, match="two folders for validation"):
        listed(tmp_path)


def test_recorded_names_lead_back_to_the_files_through_links(tmp_path: Path) -> None:
    touch(tmp_path / "disk" / "far" / "images", "a/1.jpg")
    touch(tmp_path / "work" / "other", "a/1.jpg")
    (tmp_path / "work" / "images").symlink_to(tmp_path / "disk" / "far" / "images")
    base = base_folder(ConfigPath("images", tmp_path / "work"))
    file = str(tmp_path / "work" / "other" / "a" / "1.jpg")
    assert relative(file, base) == "../other/a/1.jpg"
    assert absolute("../other/a/1.jpg", base) == file
    assert Path(absolute("../other/a/1.jpg", base)).exists()


def test_hidden_files_are_ignored_and_other_kinds_reported(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a/1.jpg", "b/1.jpg", "a/.DS_Store", "a/._1.jpg", "a/Thumbs.db", "a/.git/1.jpg")
    touch(
        tmp_path / "images", ".cache/1.jpg", "__MACOSX/1.jpg", "a/notes.txt", "a/live.PSD", "a/nothing", "LICENSE.txt"
    )
    found = listed(tmp_path)
    assert names(found) == ["a/1.jpg", "b/1.jpg"]
    assert {item.name: item.is_image for item in found.items if item.problem} == {
        "a/live.PSD": True,
        "a/nothing": False,
        "a/notes.txt": False,
    }


def test_a_loop_of_links_ends_and_gives_no_image_another_class(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a/1.jpg", "b/1.jpg", "b/in/2.jpg")
    (tmp_path / "images" / "a" / "self").symlink_to(".")
    (tmp_path / "images" / "a" / "up").symlink_to("..")
    (tmp_path / "images" / "a" / "far").symlink_to(tmp_path)
    (tmp_path / "images" / "b" / "in" / "back").symlink_to("../in")
    (tmp_path / "images" / "b" / "twice").symlink_to("in")
    assert names(listed(tmp_path)) == ["a/1.jpg", "b/1.jpg", "b/in/2.jpg"]


def test_many_links_between_folders_end_quickly(tmp_path: Path) -> None:
    touch(tmp_path / "images", "b/1.jpg", *(f"a/{n}/{n}.jpg" for n in range(12)))
    for n in range(12):
        for m in range(12):
            (tmp_path / "images" / "a" / str(n) / f"to{m}").symlink_to(f"../{m}")
    assert len(names(listed(tmp_path))) == 13


def test_names_with_newlines_spaces_and_bytes_that_are_no_text_are_kept(tmp_path: Path) -> None:
    touch(tmp_path / "images", "b/1.jpg")
    hostile = [b"two\nlines.jpg", b" .jpg", b"latin\xe9.jpg", "日本.jpg".encode(), b"[red]x[,red].jpg", b"=1+1.jpg"]
    touch(tmp_path / "images", *(f"a b/{os.fsdecode(name)}" for name in hostile))
    found = [os.fsencode(name) for name in names(listed(tmp_path)) if name[0] == "a"]
    assert sorted(found) == sorted(b"a b/" + name for name in hostile)


@pytest.mark.parametrize(
    "files, said",
    [
        ([], "has no class sub-folders; found nothing"),
        (["1.jpg", "2.jpg", "x.txt"], "found 3 files (2 .jpg, 1 .txt)"),
        (["a/1.jpg"], "one class ('a'); at least two"),
        (["a/1.jpg", "b/notes.txt"], "class 'b' has no images: its folder holds 1 file (1 .txt)"),
        (["train/a/1.jpg", "train/b/1.jpg", "test/c/1.jpg"], "test images have the class 'c', unknown"),
    ],
)
def test_a_folder_that_cannot_be_used_says_what_was_found(files: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    touch(tmp_path / "images", *files)
    with pytest.raises(DataError) as caught:
        listed(tmp_path)
    assert said in caught.value.message


@pytest.mark.parametrize("place", ["images", "images/train", "images/train/a"])
def test_a_folder_that_nobody_may_list_is_named(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "images", *(f"{side}/{c}/1.jpg" for side in ("train", "test") for c in "ab"))
    scandir = os.scandir

    def forbidden(folder: Path) -> object:
        if Path(folder) == tmp_path / place:
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", forbidden)
    with pytest.raises(DataError, match=f"the folder '{tmp_path / place}' cannot be listed: Permission denied"):
        listed(tmp_path)


def test_a_class_name_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a/1.jpg")
    (tmp_path / "images" / os.fsdecode(b"caf\xe9")).mkdir()
    with pytest.raises(DataError, match="not valid Unicode"):
        listed(tmp_path)
