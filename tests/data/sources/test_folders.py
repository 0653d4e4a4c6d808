from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from transfercli.config.paths import ConfigPath, resolve_paths
from transfercli.config.schema import DataConfig
from transfercli.data.sources.folders import absolute, relative
from transfercli.data.sources.listing import Listing, base_folder, check_classes, list_images, list_split
from transfercli.errors import ConfigError, DataError
from transfercli.reporting import Reporter


def touch(folder: Path, *names: str) -> None:
    """Empty files: nothing here opens them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def listed(folder: Path, train: str = "images", **data: object) -> Listing:
    listing = list_images(resolve_paths(DataConfig(train=train, **data), folder, ("data",)), Reporter())
    check_classes(listing)
    return listing


def names(listing: Listing, side: str = "train") -> list[str]:
    return [item.name for item in listing.items if item.split == side and not item.problem]


def test_a_flat_folder_is_one_class_a_sub_folder_sorted_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "images", "dog/2.jpg", "dog/10.jpg", "Cat/b.PNG", "cat/deep/er/a.tiff", "éclair/a b.webp")
    found = listed(tmp_path)
    assert names(found) == ["Cat/b.PNG", "cat/deep/er/a.tiff", "dog/10.jpg", "dog/2.jpg", "éclair/a b.webp"]
    assert [item.label for item in found.items] == ["Cat", "cat", "dog", "dog", "éclair"]
    assert found.fractions == {"validation": 0.15, "test": 0.15}


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


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path / "images", "train/1.jpg", "plane/1.jpg")
    assert {item.label for item in listed(tmp_path).items} == {"train", "plane"}


def test_two_folders_for_one_side_are_an_error(tmp_path: Path) -> None:
    touch(tmp_path / "images", "train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/1.jpg")
    with pytest.raises(DataError, match="two folders for validation"):
        listed(tmp_path)


def test_paths_elsewhere_are_named_from_the_data_root_and_win_over_folders_inside(tmp_path: Path) -> None:
    touch(tmp_path / "images", "train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg")
    touch(tmp_path / "other", "a/9.jpg")
    found = listed(tmp_path, test="other", validation="other")
    assert names(found, "test") == names(found, "validation") == ["../other/a/9.jpg"]


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
        tmp_path / "images", ".cache/1.jpg", "__MACOSX/1.jpg", "a/notes.txt", "a/live.HEIC", "a/nothing", "LICENSE.txt"
    )
    found = listed(tmp_path)
    assert names(found) == ["a/1.jpg", "b/1.jpg"]
    assert {item.name: item.is_image for item in found.items if item.problem} == {
        "a/live.HEIC": True,
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


WRITERS: dict[str, Callable[[list[dict[str, str]]], str]] = {
    "list.csv": lambda rows: (
        "\ufeffpath,label,split\n" + "".join(f'"{r["path"]}",{r["label"]},{r.get("split", "")}\n' for r in rows)
    ),
    "list.jsonl": lambda rows: "\n".join(json.dumps(row) for row in rows) + "\n\n",
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_names_paths_labels_and_sides(name: str, tmp_path: Path) -> None:
    rows = [
        {"path": "far/2.jpg", "label": "b"},
        {"path": "far/1,1.jpg", "label": "a", "split": "train"},
        {"path": "far/3.jpg", "label": "a", "split": "Val"},
        {"path": "../up/4", "label": "a", "split": "test"},
    ]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / name).write_text(WRITERS[name](rows))
    found = listed(tmp_path, f"lists/{name}")
    assert names(found) == ["far/1,1.jpg", "far/2.jpg"]
    assert (names(found, "validation"), names(found, "test")) == (["far/3.jpg"], ["../up/4"])
    assert found.fractions == {}
    assert found.items[1].file == str(tmp_path / "lists" / "far" / "1,1.jpg")


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("a.csv", "file,label\nx.jpg,a\n", "a.csv has the columns file, label"),
        ("a.csv", "", "(none)"),
        ("a.csv", "path,label\n", "lists no images"),
        ("a.csv", "path,label\nx.jpg\n", "a.csv:2: label must be text, received None"),
        ("a.csv", "path,label\n,a\n", "a.csv:2: path must be text, received ''"),
        ("a.csv", "path,label,split\nx.jpg,a,holdout\n", "a.csv:2: split 'holdout' is not one of"),
        (
            "a.csv",
            "path,label\nx.jpg,a\n./x.jpg,b\n",
            "a.csv:3: './x.jpg' is listed twice, with the labels 'a' and 'b'",
        ),
        ("a.csv", "path,label\nx.jpg,a\nx, y.jpg,b\n", "a.csv:3: more values than the 2 columns"),
        ("a.csv", "path,label,path\nx.jpg,a,y.jpg\n", "a.csv has the columns path, label, path; expected"),
        ("a.jsonl", '{"path": "x.jpg", "label": "a"}\nrubbish\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: expected an object"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1: not JSON"),
        ("a.jsonl", '{"path": "x.jpg", "label": ["a"]}\n', "label must be text, received ['a']"),
        ("a.jsonl", '{"path": "x.jpg", "label": true}\n', "label must be text, received True"),
        ("a.jsonl", '{"path": "x\\u0000.jpg", "label": "a"}\n', "holds a NUL"),
        ("a.jsonl", '{"path": "x.jpg", "label": "\\ud800"}\n', "is not valid Unicode"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_with_its_line(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        listed(tmp_path, name)
    assert said in caught.value.message


def test_one_side_is_found_in_a_folder_of_classes_a_folder_of_sides_and_a_table(tmp_path: Path) -> None:
    touch(tmp_path, "flat/a/1.jpg", "sides/train/a/1.jpg", "sides/test/a/2.jpg")
    (tmp_path / "list.csv").write_text("path,label,split\n3.jpg,a,train\n4.jpg,a,test\n")
    (tmp_path / "plain.csv").write_text("path,label\n5.jpg,a\n")
    found = {name: list_split(tmp_path / name, "test", tmp_path) for name in ("flat", "sides", "list.csv", "plain.csv")}
    assert {name: [(i.name, i.split) for i in items] for name, items in found.items()} == {
        "flat": [("flat/a/1.jpg", "test")],
        "sides": [("sides/test/a/2.jpg", "test")],
        "list.csv": [("4.jpg", "test")],
        "plain.csv": [("5.jpg", "test")],
    }
    with pytest.raises(DataError, match="no folder for validation: found test, train"):
        list_split(tmp_path / "sides", "validation", tmp_path)
    with pytest.raises(DataError, match="no rows whose split is validation"):
        list_split(tmp_path / "list.csv", "validation", tmp_path)
