from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.pixels import everything
from transfercli.config.paths import ConfigPath, resolve_paths
from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data.dataset import Dataset
from transfercli.data.ingest import Reading
from transfercli.data.load import (
    DataRequest,
    examine_dataset,
    load_dataset,
    load_folder_split,
    load_recorded_split,
)
from transfercli.data.manifest import write_pixels
from transfercli.data.splitting.assignments import Assignments
from transfercli.errors import DataError

Load = Callable[..., Dataset]
TWO = {"cat": 20, "dog": 20}


def sides_of(dataset: Dataset) -> dict[str, str]:
    return {record.path: record.split for record in dataset.records}


def test_a_flat_folder_becomes_three_sides_with_pixels_and_targets(
    tmp_path: Path, grow: Any, load: Load, digit: Callable[[int], Image.Image]
) -> None:
    found = load(grow(tmp_path / "images", TWO).parent, size=32)
    assert found.labels == ("cat", "dog")
    assert set(found.splits) == {"train", "validation", "test"}
    assert sum(len(split) for split in found.splits.values()) == 40
    for name, split in found.splits.items():
        assert split.name == name
        assert list(split.paths) == sorted(split.paths)
        assert split.targets.dtype == np.int32
        assert [split.labels[target] for target in split.targets] == [path.split("/")[0] for path in split.paths]
        assert min(split.counts().values()) >= 1
        pixels = everything(split)
        assert pixels.shape == (len(split), 32, 32, 3)
        for path, image in zip(split.paths, pixels, strict=True):
            assert np.array_equal(image, np.asarray(digit(int(Path(path).stem)).convert("RGB")))


def test_images_are_read_in_the_order_asked_for_and_as_often(tmp_path: Path, grow: Any, load: Load) -> None:
    split = load(grow(tmp_path / "images", TWO).parent).splits["train"]
    whole = everything(split)
    rows = np.array([5, 0, 5, 7])
    assert np.array_equal(split.images.read(rows), whole[rows])
    copy = split.images.read(rows)
    copy[:] = 0
    assert np.array_equal(everything(split), whole)
    assert split.images.read(np.array([], int)).shape == (0, 16, 16, 3)


def test_records_name_every_file_with_size_side_and_problem(
    tmp_path: Path, grow: Any, load: Load, reporter: Any
) -> None:
    grow(tmp_path / "images", TWO)
    (tmp_path / "images" / "cat" / "broken.jpg").write_bytes(b"")
    (tmp_path / "images" / "dog" / "notes.txt").write_text("notes")
    found = load(tmp_path, max_bad_fraction=0.03)
    records = {record.path: record for record in found.records}
    assert list(records) == sorted(records)
    assert len(records) == 42
    assert (records["cat/0003.png"].width, records["cat/0003.png"].height) == (32, 32)
    assert {(r.path, r.problem, r.split) for r in found.bad} == {
        ("cat/broken.jpg", "zero bytes", ""),
        ("dog/notes.txt", "not read: extension '.txt'", ""),
    }
    assert len(reporter.warnings) == 2
    assert reporter.steps[-1] == ("ingest", 42, 42, "files")


def test_sides_stay_when_files_are_added(tmp_path: Path, grow: Any, load: Load) -> None:
    first = load(grow(tmp_path / "images", TWO).parent)
    grow(tmp_path / "images", {"cat": 60, "dog": 60}, first=300)
    second = load(tmp_path, assignments=first.assignments)
    assert sides_of(first).items() <= sides_of(second).items()
    assert len(second.assignments.splits) == 160


def test_sides_stay_when_the_size_changes_or_files_are_renamed(tmp_path: Path, grow: Any, load: Load) -> None:
    first = load(grow(tmp_path / "images", TWO).parent)
    assert sides_of(load(tmp_path, size=48, resize="pad")) == sides_of(first)
    (tmp_path / "images" / "cat" / "0000.png").rename(tmp_path / "images" / "cat" / "z.png")
    assert sides_of(load(tmp_path))["cat/z.png"] == sides_of(first)["cat/0000.png"]


def test_sides_stay_when_the_background_changes(tmp_path: Path, digit: Any, load: Load) -> None:
    for number in range(40):
        path = tmp_path / "images" / ("cat", "dog")[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.new("RGBA", (32, 32), "black")
        picture.putalpha(digit(number))
        picture.save(path)
    first = load(tmp_path)
    assert sides_of(load(tmp_path, background="#eeeeee")) == sides_of(first)
    assert sides_of(load(tmp_path, background="none")) == sides_of(first)


def test_a_file_that_a_run_read_keeps_its_side_when_it_is_decoded_to_other_pixels(
    tmp_path: Path, grow: Any, reporter: Any
) -> None:
    """The files of a run of a program whose decoder hashed every image otherwise, with all test images in training."""
    base = grow(tmp_path / "images", TWO).parent
    config = resolve_paths(DataConfig(train="images"), base, ("data",))
    present = load_dataset(DataRequest(config, (16, 16), ComputeConfig()), reporter)

    def old_hash(sha256: str) -> str:
        return hashlib.sha256(sha256.encode()).hexdigest()

    was = {"train": "test", "test": "train", "validation": "validation"}
    write_pixels(tmp_path / "pixels.csv", {record.sha256: old_hash(record.sha256) for record in present.records})
    old = Assignments.of((old_hash(record.sha256), was[record.split]) for record in present.records)
    (tmp_path / "damaged.csv").write_text("sha256\n1\n")
    files = (tmp_path / "damaged.csv", tmp_path / "pixels.csv", tmp_path / "missing.csv")
    request = DataRequest(config, (16, 16), ComputeConfig(), old, pixel_files=files)
    later = load_dataset(request, reporter)
    assert sides_of(later) == {path: was[split] for path, split in sides_of(present).items()}
    assert "its images are known by their pixels only" in reporter.warnings[-1]
    assert old.splits.items() < later.assignments.splits.items()
    again = load_dataset(DataRequest(config, (16, 16), ComputeConfig(), later.assignments), reporter)
    assert sides_of(again) == sides_of(later)


def test_a_copy_of_a_test_image_is_kept_out_of_training_with_a_warning(
    tmp_path: Path, grow: Any, load: Load, reporter: Any, png: Callable[[int], bytes]
) -> None:
    grow(tmp_path / "images" / "train", TWO)
    grow(tmp_path / "images" / "test", {"cat": 3, "dog": 3}, first=400)
    (tmp_path / "images" / "train" / "cat" / "copy.png").write_bytes(png(400))
    found = load(tmp_path)
    assert sides_of(found)["train/cat/copy.png"] == "test"
    assert "1 training image moved to validation or test, as a copy of an image there" in reporter.warnings[0]
    assert "train/cat/copy.png" in reporter.warnings[0]


def test_a_class_with_one_image_is_named_with_its_count(tmp_path: Path, grow: Any, load: Load) -> None:
    with pytest.raises(DataError, match=r"'rare' has 1 different usable image"):
        load(grow(tmp_path / "images", {**TWO, "rare": 1}).parent)


def test_the_split_of_a_run_is_found_again_through_its_records(
    tmp_path: Path, grow: Any, load: Load, reading: Reading, reporter: Any
) -> None:
    grow(tmp_path / "images", TWO)
    grow(tmp_path / "more", {"dog": 5}, first=200)
    found = load(tmp_path, test="more")
    for side in ("train", "validation", "test"):
        again = load_recorded_split(found.records, found.root, side, found.labels, reading)
        assert again.paths == found.splits[side].paths
        assert again.sha256s == found.splits[side].sha256s
        assert np.array_equal(again.targets, found.splits[side].targets)
        assert np.array_equal(everything(again), everything(found.splits[side]))
    assert reporter.warnings == []


def test_missing_images_of_a_run_are_counted_and_changed_ones_warned_of(
    tmp_path: Path, grow: Any, load: Load, reading: Reading, reporter: Any, png: Callable[[int], bytes]
) -> None:
    found = load(grow(tmp_path / "images", TWO).parent)
    first, second = found.splits["train"].paths[:2]
    (tmp_path / "images" / first).write_bytes(png(700))
    load_recorded_split(found.records, ConfigPath("images", tmp_path), "train", found.labels, reading)
    assert "1 of" in reporter.warnings[0]
    assert "have changed" in reporter.warnings[0]
    (tmp_path / "images" / second).unlink()
    with pytest.raises(DataError) as caught:
        load_recorded_split(found.records, ConfigPath("images", tmp_path), "train", found.labels, reading)
    assert f"1 of the run's {len(found.splits['train'])} train images cannot be read below 'images'" in str(
        caught.value
    )
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(DataError, match="cannot be read below 'images'"):
        load_recorded_split(found.records, ConfigPath("images", tmp_path), "test", found.labels, reading)


def test_a_run_without_test_images_says_so(tmp_path: Path, grow: Any, load: Load, reading: Reading) -> None:
    found = load(grow(tmp_path / "images", TWO).parent, test=None)
    assert "test" not in found.splits
    with pytest.raises(DataError, match="no test images"):
        load_recorded_split(found.records, ConfigPath("images", tmp_path), "test", found.labels, reading)


def test_other_images_are_matched_to_the_classes_by_name(tmp_path: Path, grow: Any, reading: Reading) -> None:
    labels = ("ant", "cat", "dog")
    split = load_folder_split(grow(tmp_path / "fewer", {"dog": 2, "cat": 1}), "test", labels, reading)
    assert split.counts() == {"ant": 0, "cat": 1, "dog": 2}
    with pytest.raises(DataError, match=r"the class 'wolf', unknown to the run: known are 'ant', 'cat', 'dog'") as more:
        load_folder_split(grow(tmp_path / "more", {"wolf": 2, "cat": 1}), "test", labels, reading)
    assert "model.head.init: extend" in str(more.value.hint)
    with pytest.raises(DataError, match="does not exist"):
        load_folder_split(tmp_path / "nowhere", "test", labels, reading)


def test_other_images_may_be_in_the_same_sub_folders_of_each_class(tmp_path: Path, grow: Any, reading: Reading) -> None:
    cameras = [f"{label}/{camera}" for label in ("cat", "dog") for camera in ("cam1", "cam2")]
    folder = grow(tmp_path / "cameras", dict.fromkeys(cameras, 2))
    assert load_folder_split(folder, "test", ("cat", "dog"), reading).counts() == {"cat": 4, "dog": 4}
    parts = grow(tmp_path / "parts", dict.fromkeys(("one/cat", "one/dog", "two/cat", "two/dog"), 2))
    with pytest.raises(DataError, match="the classes 'one', 'two', unknown to the run") as caught:
        load_folder_split(parts, "test", ("cat", "dog"), reading)
    assert (
        caught.value.hint
        == f"if the classes are its sub-folders, use --data {parts / 'one'}; classes are matched by name"
    )


def test_other_images_without_a_folder_of_the_split_name_the_split_that_they_have(
    tmp_path: Path, grow: Any, reading: Reading
) -> None:
    folder = grow(tmp_path / "b", dict.fromkeys(("train/cat", "train/dog", "val/cat", "val/dog"), 2))
    with pytest.raises(DataError, match="no folder for test: found train, validation") as caught:
        load_folder_split(folder, "test", ("cat", "dog"), reading)
    assert "--split validation" in str(caught.value.hint)


def test_a_table_loads_like_a_folder(tmp_path: Path, grow: Any, load: Load, reading: Reading) -> None:
    folder = load(grow(tmp_path / "images", TWO).parent)
    rows = "".join(f"images/{record.path},{record.label}\n" for record in folder.records)
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    table = load(tmp_path, "list.csv")
    assert sides_of(table) == {f"images/{path}": side for path, side in sides_of(folder).items()}
    again = load_recorded_split(table.records, ConfigPath("list.csv", tmp_path), "train", table.labels, reading)
    assert np.array_equal(everything(again), everything(table.splits["train"]))


def test_a_run_that_lists_a_class_twice_under_two_sides_keeps_both(tmp_path: Path, grow: Any, load: Load) -> None:
    grow(tmp_path / "images", TWO)
    grow(tmp_path / "held", {"cat": 4, "dog": 4}, first=300)
    found = load(tmp_path, validation="held", test="held")
    assert len(found.splits["validation"]) == len(found.splits["test"]) == 8
    assert len(found.splits["train"]) == 40


def test_stratified_sides_of_a_folder_have_exact_shares_and_follow_the_seed(
    tmp_path: Path, grow: Any, load: Load
) -> None:
    found = load(grow(tmp_path / "images", TWO).parent, split="stratified")
    assert {side: split.counts() for side, split in found.splits.items()} == {
        "train": {"cat": 14, "dog": 14},
        "validation": {"cat": 3, "dog": 3},
        "test": {"cat": 3, "dog": 3},
    }
    again = load(tmp_path, split="stratified", assignments=found.assignments, validation=0.4, test=0.4)
    assert sides_of(again) == sides_of(found)


def test_each_fold_validates_other_images(tmp_path: Path, grow: Any, load: Load) -> None:
    grow(tmp_path / "images", TWO)
    seen: list[str] = []
    for fold in (1, 2, 3):
        found = load(tmp_path, folds=3, fold=fold, test=None)
        assert set(found.splits) == {"train", "validation"}
        seen += found.splits["validation"].paths
    assert sorted(seen) == sorted(sides_of(found))


def test_folds_beside_validation_images_of_the_source_are_refused(tmp_path: Path, grow: Any, load: Load) -> None:
    grow(tmp_path / "images" / "train", TWO)
    grow(tmp_path / "images" / "val", {"cat": 3, "dog": 3}, first=400)
    with pytest.raises(DataError, match=r"contains 6 validation images, such as 'val/cat/0400.png'"):
        load(tmp_path, folds=3, fold=1)


def test_a_table_that_leads_nowhere_is_refused_with_that_reason_alone(tmp_path: Path, reporter: Any) -> None:
    (tmp_path / "list.csv").write_text("path,label\na/1.png,cat\na/2.png,dog\n")
    config = resolve_paths(DataConfig(train="list.csv"), tmp_path, ("data",))
    request = DataRequest(config, (16, 16), ComputeConfig())
    with pytest.raises(DataError, match="none of the 2 paths of train images leads to a file"):
        load_dataset(request, reporter)
    assert ["none of the 2 paths" in str(error) for error in examine_dataset(request, reporter).refusals] == [True]
