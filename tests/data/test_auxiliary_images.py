"""Unlabelled and related images: read like the data set's own, and never among its splits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.pixels import everything
from transfercli.data.dataset import Dataset
from transfercli.errors import DataError

Load = Callable[..., Dataset]
TWO = {"cat": 20, "dog": 20}


@pytest.fixture
def images(tmp_path: Path, grow: Any) -> Path:
    """A folder `images` of two classes; the pictures 0 to 39."""
    return grow(tmp_path / "images", TWO).parent


def warned(reporter: Any) -> str:
    return "\n".join(reporter.warnings)


def test_unlabelled_images_are_read_at_any_depth_without_labels(images: Path, grow: Any, load: Load) -> None:
    grow(images / "neu é" / "2024 05", {"cat": 3, "x y": 2}, first=100)
    plain = load(images)
    found = load(images, unlabelled="neu é")
    assert found.labels == plain.labels == ("cat", "dog")
    assert {name: split.paths for name, split in found.splits.items()} == {
        name: split.paths for name, split in plain.splits.items()
    }
    assert found.records == plain.records
    unlabelled = found.auxiliary.unlabelled
    assert unlabelled is not None
    assert unlabelled.name == "unlabelled"
    assert len(unlabelled) == 5
    assert unlabelled.paths[0] == "../neu é/2024 05/cat/0100.png"
    assert not unlabelled.targets.any()
    assert everything(unlabelled).shape == (5, 16, 16, 3)
    assert {(r.label, r.split, r.problem) for r in found.auxiliary.records} == {("", "unlabelled", "")}
    assert {*unlabelled.sha256s} <= found.pixels.keys()


def test_a_table_of_unlabelled_images_needs_only_paths(images: Path, grow: Any, load: Load) -> None:
    grow(images / "new", {"a": 3}, first=100)
    rows = ["path,split", *(f"new/a/{row:04d}.png,test" for row in (100, 101, 102, 102))]
    (images / "new.csv").write_text("\n".join(rows) + "\n")
    auxiliary = load(images, unlabelled="new.csv").auxiliary
    assert auxiliary.unlabelled is not None
    assert auxiliary.unlabelled.paths == ("../new/a/0100.png", "../new/a/0101.png", "../new/a/0102.png")


def test_related_images_have_the_labels_of_their_folders_and_their_domain(images: Path, grow: Any, load: Load) -> None:
    grow(images / "clip" / "train", {"cat": 2, "dog": 1}, first=100)
    grow(images / "clip" / "test", {"cat": 2, "dog": 2}, first=110)
    grow(images / "sketch", {"dog": 2}, first=120)
    (images / "list.csv").write_text(
        "path,label,split\nsketch/dog/0120.png,dog,\nclip/test/cat/0110.png,cat,train\nclip/test/cat/0111.png,cat,test\n"
    )
    found = load(images, related=["clip", "list.csv"])
    related = found.auxiliary.related
    assert related is not None
    assert related.labels == ("cat", "dog")
    assert [Path(path).name for path in related.paths] == ["0100.png", "0101.png", "0102.png", "0110.png", "0120.png"]
    assert related.targets.tolist() == [0, 0, 1, 0, 1]
    assert found.auxiliary.domains.tolist() == [0, 0, 0, 1, 1]
    assert {record.split for record in found.records} == {"train", "validation", "test"}


def test_copies_of_the_own_images_are_left_out_and_counted(images: Path, load: Load, reporter: Any) -> None:
    plain = load(images)
    shutil.copytree(images / "images", images / "all")
    shutil.copy(images / "images" / "cat" / "0003.png", images / "all" / "again.png")
    whole = load(images, unlabelled="all")
    assert whole.auxiliary.unlabelled is None
    counts = {name: len(split) for name, split in plain.splits.items()}
    of_train = plain.splits["train"].paths.count("cat/0003.png")
    counts["train" if of_train else "test"] += 1
    assert sum(whole.auxiliary.left_out["data.unlabelled"].values()) == 41
    assert whole.auxiliary.left_out["data.unlabelled"]["test"] >= counts["test"] - 1 > 0
    assert "41 of 41 images left out" in warned(reporter)
    assert "the same pixels as a test image" in warned(reporter)
    assert {record.split for record in whole.auxiliary.records} == {""}
    assert all(record.problem.startswith("left out: the same pixels") for record in whole.auxiliary.records)


def test_the_label_of_the_target_counts_where_a_related_image_has_another(
    images: Path, load: Load, reporter: Any
) -> None:
    train = load(images).splits["train"]
    path = next(path for path in train.paths if path.startswith("cat/"))
    (images / "other" / "dog").mkdir(parents=True)
    shutil.copy(images / "images" / path, images / "other" / "dog" / "x.png")
    found = load(images, related=["other"])
    assert found.auxiliary.related is None
    assert found.auxiliary.left_out == {"data.related[0]": {"other_class": 1}}
    assert "the same pixels as an image of another class ('../other/dog/x.png')" in warned(reporter)


def test_related_images_that_contradict_each_other_are_left_out(images: Path, grow: Any, load: Load) -> None:
    grow(images / "a", {"cat": [100, 101]})
    grow(images / "b", {"dog": [100, 102], "cat": [101]})
    grow(images / "free", {"x": [100, 101, 103]})
    auxiliary = load(images, related=["a", "b"], unlabelled="free").auxiliary
    assert auxiliary.related is not None
    assert auxiliary.unlabelled is not None
    assert auxiliary.related.paths == ("../a/cat/0101.png", "../b/dog/0102.png")
    assert auxiliary.unlabelled.paths == ("../free/x/0103.png",)
    assert auxiliary.left_out == {
        "data.related[0]": {"other_class": 1},
        "data.related[1]": {"copy": 1, "other_class": 1},
        "data.unlabelled": {"related": 2},
    }


def test_related_images_of_unknown_classes_are_left_out_with_their_names(
    images: Path, grow: Any, load: Load, reporter: Any
) -> None:
    grow(images / "clip", {"cat": 2, "Dog": 1, "bird": 2}, first=100)
    found = load(images, related=["clip"])
    assert found.auxiliary.related is not None
    assert len(found.auxiliary.related) == 2
    assert found.auxiliary.left_out == {"data.related[0]": {"unknown_class": 3}}
    assert "3 images of the classes 'Dog' (did you mean 'dog'?), 'bird'" in warned(reporter)
    grow(images / "birds", {"bird": 2}, first=110)
    with pytest.raises(DataError, match=r"data.related\[0\]: 2 images of the class 'bird'.*and no others"):
        load(images, related=["birds"])


def test_a_class_may_have_related_images_only_if_the_data_names_it(
    images: Path, grow: Any, load: Load, reporter: Any
) -> None:
    (images / "images" / "emu").mkdir()
    grow(images / "clip", {"emu": 3, "cat": 2}, first=100)
    with pytest.raises(DataError, match="class 'emu' has no images"):
        load(images)
    found = load(images, related=["clip"])
    assert found.labels == ("cat", "dog", "emu")
    assert found.auxiliary.related is not None
    assert found.auxiliary.related.targets.tolist() == [0, 0, 2, 2, 2]
    assert found.splits["train"].counts()["emu"] == 0


def test_a_class_of_the_test_images_may_have_related_training_images_only(images: Path, grow: Any, load: Load) -> None:
    grow(images / "held", {"cat": 2, "dog": 2, "emu": 2}, first=200)
    grow(images / "clip", {"emu": 3}, first=100)
    with pytest.raises(DataError, match="test images have the class 'emu'"):
        load(images, test="held")
    assert load(images, test="held", related=["clip"]).splits["test"].counts() == {"cat": 2, "dog": 2, "emu": 2}


@pytest.mark.parametrize(
    "data, message",
    [
        ({"unlabelled": "gone"}, "data.unlabelled: 'gone' does not exist"),
        ({"unlabelled": "void"}, "data.unlabelled: 'void' has no images"),
        ({"related": ["images", "gone"]}, r"data.related\[1\]: 'gone' does not exist"),
        ({"related": ["void"]}, "has no class sub-folders|has no images"),
        ({"related": ["keras:mnist"]}, "only data.train can be a keras"),
        ({"unlabelled": "images/cat/0001.png"}, "neither a folder nor"),
        ({"unlabelled": "broken"}, r"data.unlabelled: 1 of 2 images cannot be used"),
    ],
)
def test_sources_that_cannot_be_used_are_errors_of_the_data(
    images: Path, grow: Any, load: Load, data: dict[str, Any], message: str
) -> None:
    (images / "void").mkdir()
    grow(images / "broken", {"x": 1}, first=100)
    (images / "broken" / "x" / "b.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=message):
        load(images, **data)


def test_a_few_unreadable_images_and_other_files_are_left_out(
    images: Path, grow: Any, load: Load, reporter: Any
) -> None:
    grow(images / "new", {"x": 3}, first=100)
    (images / "new" / "x" / "b.jpg").write_bytes(b"")
    (images / "new" / "notes.txt").write_text("notes")
    (images / "new" / "loop").symlink_to(images / "new")
    (images / "new" / "link.png").symlink_to(images / "new" / "x" / "0100.png")
    auxiliary = load(images, unlabelled="new", max_bad_fraction=0.5).auxiliary
    assert auxiliary.unlabelled is not None
    assert len(auxiliary.unlabelled) == 3
    assert auxiliary.left_out == {"data.unlabelled": {"copy": 1}}
    assert "data.unlabelled: 1 of 5 images cannot be used: '../new/x/b.jpg' (zero bytes)" in warned(reporter)
    problems = {record.path: record.problem for record in auxiliary.records if record.problem}
    assert problems["../new/x/b.jpg"] == "zero bytes"
    assert len(problems) == 3
