"""Sub-folders below the classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.sources.listings import listed, names, touch
from tests.listener import Listener
from transfercli.config.schema import DataConfig
from transfercli.data.sources.listing import list_images
from transfercli.errors import DataError


def below(folder: Path, classes: tuple[str, ...], subs: tuple[str, ...], count: int = 2) -> None:
    touch(folder, *(f"{label}/{sub}/{n}.jpg" for label in classes for sub in subs for n in range(count)))


@pytest.mark.parametrize(
    "subs, said",
    [
        (("train", "test"), "would be split at random with the others of class"),
        (("Training", "Validation"), "would be split at random"),
        (("images", "masks"), "'masks' would count as pictures of class 'COVID'"),
        (("images", "Ground_Truth"), "would count as pictures"),
        (("images", "lung_masks"), "'lung_masks' would count as pictures"),
        (("full", "thumbnails"), "'thumbnails' would count as pictures"),
        (("red", "green"), "hold no images themselves and have the same sub-folders"),
        (("red", "green", "blue"), "either of the two could be the classes"),
    ],
)
def test_sub_folders_that_can_be_read_in_two_ways_are_refused(subs: tuple[str, ...], said: str, tmp_path: Path) -> None:
    below(tmp_path / "images", ("COVID", "Normal"), subs)
    with pytest.raises(DataError, match=said) as caught:
        listed(tmp_path)
    assert caught.value.hint


def test_held_out_folders_are_looked_at_like_training_folders(tmp_path: Path) -> None:
    below(tmp_path / "images", ("train",), ("COVID", "Normal"))
    below(tmp_path / "images" / "test", ("COVID", "Normal"), ("images", "masks"))
    with pytest.raises(DataError, match="would count as pictures"):
        listed(tmp_path)


def test_masks_beside_the_images_of_a_class_are_refused_and_a_class_may_be_called_masks(tmp_path: Path) -> None:
    touch(tmp_path / "images", "masks/1.jpg", "gloves/1.jpg")
    assert len(listed(tmp_path).items) == 2
    touch(tmp_path / "images", "gloves/masks/1.jpg")
    with pytest.raises(DataError, match="would count as pictures of class 'gloves'"):
        listed(tmp_path)


@pytest.mark.parametrize("subs", [("cat", "dog"), ("train", "test")])
def test_a_single_folder_around_the_data_set_is_named_as_the_place_to_give(
    subs: tuple[str, ...], tmp_path: Path
) -> None:
    below(tmp_path / "images", ("PetImages",), subs)
    with pytest.raises(DataError, match="has one class folder, 'PetImages', which holds the folders") as caught:
        listed(tmp_path)
    assert caught.value.hint == f"set data.train to '{tmp_path / 'images' / 'PetImages'}'"


def test_a_file_name_in_a_class_folder_and_below_it_is_counted(tmp_path: Path) -> None:
    touch(tmp_path / "images", "cat/1.jpg", "cat/small/1.jpg", "cat/small/2.jpg", "dog/1.jpg")
    reporter = Listener()
    listed(tmp_path, reporter=reporter)
    assert "1 file name in more than one folder of a class" in reporter.warnings[0]


def test_a_group_says_that_the_upper_folders_are_the_classes(tmp_path: Path) -> None:
    below(tmp_path / "images", ("ill", "well"), ("camera1", "camera2"))
    found = listed(tmp_path, group="^([^/]+/[^/]+)/")
    assert {item.label for item in found.items} == {"ill", "well"}


@pytest.mark.parametrize("subs", [("2023", "2024"), ("2024-01-31", "2024-02-29"), ("images",)])
def test_days_and_a_single_sub_folder_are_no_classes_and_a_warning_lists_them(
    subs: tuple[str, ...], tmp_path: Path
) -> None:
    below(tmp_path / "images", ("cat", "dog"), subs)
    reporter = Listener()
    assert {item.label for item in listed(tmp_path, reporter=reporter).items} == {"cat", "dog"}
    [warning] = reporter.warnings
    assert f"{4 * len(subs)} images in sub-folders of 2 class folders count for the class above" in warning
    assert f"'cat' ({', '.join(subs)})" in warning
    assert ("4 file names in more than one folder of a class" in warning) == (len(subs) > 1)


def test_folders_of_storage_devices_and_systems_are_no_classes_and_hold_no_images(tmp_path: Path) -> None:
    touch(tmp_path / "images", "cat/1.jpg", "dog/1.jpg", "cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg")
    touch(tmp_path / "images", "cat/.ipynb_checkpoints/1-checkpoint.jpg", "dog/@Recycle/1.jpg", "dog/.@__thumb/1.jpg")
    touch(tmp_path / "images", "dog/Thumbs.db", "#recycle/cat/1.jpg", ".Trashes/1.jpg")
    for name in ("lost+found", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "@eaDir"):
        (tmp_path / "images" / name).mkdir()
    reporter = Listener()
    assert names(listed(tmp_path, reporter=reporter)) == ["cat/1.jpg", "dog/1.jpg"]
    assert reporter.warnings == []


def test_a_class_of_masks_beside_the_others_is_a_warning(tmp_path: Path) -> None:
    touch(tmp_path / "images", "cat/1.jpg", "dog/1.jpg", "masks/1.jpg", "masks/2.jpg")
    reporter = Listener()
    list_images(DataConfig(train=str(tmp_path / "images")), reporter)
    assert reporter.warnings == [
        "'masks' (2 images) count as a class: if these are not pictures of their own, rename the folder to .masks"
    ]
