"""Folders of splits, recognised by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.sources.listings import listed, names, touch
from tests.listener import Listener
from transfercli.data.sources.layout import split_folders
from transfercli.errors import DataError


def of_splits(folder: Path, *splits: str) -> None:
    touch(folder, *(f"{split}/{label}/{n}.jpg" for split in splits for label in ("cat", "dog") for n in range(2)))


@pytest.mark.parametrize(
    "train, validation, test",
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "VALID", "TEST"),
        ("training_set", "dev_set", "test_set"),
        ("seg_train/seg_train", "seg_val/seg_val", "seg_test/seg_test"),
        ("trainset", "valset", "testset"),
        ("TrainData", "ValidationData", "TestData"),
        ("train_images", "val_images", "test_images"),
        ("train", "dev", "eval"),
        ("train", "eval", "test"),
        ("flowers-train", "flowers-val", "flowers-test"),
        ("train2017", "val2017", "test2017"),
    ],
)
def test_the_names_of_common_data_sets_are_splits(train: str, validation: str, test: str, tmp_path: Path) -> None:
    of_splits(tmp_path / "images", train, validation, test)
    found = listed(tmp_path)
    assert found.fractions == {}
    assert {item.label for item in found.items} == {"cat", "dog"}
    for split, folder in (("train", train), ("validation", validation), ("test", test)):
        assert names(found, split) == [f"{folder}/{c}/{n}.jpg" for c in ("cat", "dog") for n in range(2)]


def test_folders_beside_the_splits_are_left_out_with_a_warning(tmp_path: Path) -> None:
    of_splits(tmp_path / "images", "training_set", "test_set")
    touch(tmp_path / "images", "single_prediction/1.jpg", "single_prediction/2.jpg", "notes/readme.txt")
    reporter = Listener()
    found = listed(tmp_path, reporter=reporter)
    assert len(found.items) == 8
    assert [text.partition("is not used: ")[2] for text in reporter.warnings] == [
        "2 images beside the folders of the splits"
    ]


@pytest.mark.parametrize(
    "files",
    [
        ("train/1.jpg", "plane/1.jpg"),
        ("train station/1.jpg", "test tube/1.jpg"),
        ("training/1.jpg", "testing/1.jpg", "resting/1.jpg"),
        ("dev board/1.jpg", "val/1.jpg"),
    ],
)
def test_class_folders_may_be_named_like_splits(files: tuple[str, ...], tmp_path: Path) -> None:
    touch(tmp_path / "images", *files)
    assert split_folders(tmp_path / "images") == {}
    assert {item.label for item in listed(tmp_path).items} == {file.partition("/")[0] for file in files}


def test_one_training_folder_beside_an_unknown_one_is_refused_because_either_level_could_be_the_classes(
    tmp_path: Path,
) -> None:
    of_splits(tmp_path / "images", "Training")
    touch(tmp_path / "images", "extra/1.jpg")
    with pytest.raises(DataError, match="could be the training images, or a class beside 'extra'") as caught:
        listed(tmp_path)
    assert f"set data.train to '{tmp_path / 'images' / 'Training'}'" in str(caught.value.hint)


@pytest.mark.parametrize("inner", ["", "unknown/", "test/", "test1/"])
def test_a_test_folder_without_classes_is_left_out_with_a_warning(inner: str, tmp_path: Path) -> None:
    of_splits(tmp_path / "images", "train")
    touch(tmp_path / "images", *(f"test/{inner}{n}.jpg" for n in range(3)))
    reporter = Listener()
    found = listed(tmp_path, reporter=reporter)
    assert found.fractions == {"validation": 0.15, "test": 0.15}
    assert len(found.items) == 4
    assert "3 images without class folders cannot be test images" in reporter.warnings[0]
    assert "(data.test: null sets none aside; predict labels such images)" in reporter.warnings[0]


def test_a_test_folder_without_classes_is_nobodys_business_if_the_config_says_so(tmp_path: Path) -> None:
    of_splits(tmp_path / "images", "train")
    of_splits(tmp_path, "other")
    touch(tmp_path / "images", "test/1.jpg")
    reporter = Listener()
    assert listed(tmp_path, test=None, reporter=reporter).fractions == {"validation": 0.15}
    assert len(names(listed(tmp_path, test="other", reporter=reporter), "test")) == 4
    assert reporter.warnings == []
    with pytest.raises(DataError, match="has no class sub-folders"):
        listed(tmp_path, test="images/test")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_held_out_images_that_are_training_images_are_named_for_what_they_are(split: str, tmp_path: Path) -> None:
    touch(tmp_path / "images", *(f"{label}/{n}.jpg" for label in ("cat", "dog", "val") for n in range(3)))
    touch(tmp_path / "images", "val/cat/1.jpg")
    (tmp_path / "link").symlink_to("images")
    for same in ("images", "link"):
        with pytest.raises(DataError, match=f"every training image would be a {split} image"):
            listed(tmp_path, **{split: same})
    with pytest.raises(DataError, match=r"lies in the folder of the training images, where .* count as class 'val'"):
        listed(tmp_path, **{split: "images/val"})


def test_a_folder_of_splits_may_be_named_again_in_the_config(tmp_path: Path) -> None:
    of_splits(tmp_path / "images", "train", "extra/val")
    found = listed(tmp_path, "images/train", validation="images/extra/val")
    assert len(names(found, "validation")) == 4
