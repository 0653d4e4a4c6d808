from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfercli.config.loader import load
from transfercli.data.samples.digits import scans
from transfercli.data.samples.scenes import _SPLITS, DigitScenes
from transfercli.data.samples.writing import write_sample
from transfercli.data.sources.listing import list_images
from transfercli.errors import UsageError
from transfercli.reporting import Reporter


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "scenes"
    written = write_sample("digits-scenes", folder)
    assert written.images == {"train": 600, "validation": 200, "test": 200}
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_labels_of_a_scene_are_the_digits_in_it_each_once(scenes: Path) -> None:
    sets = [row["labels"].split(";") for row in rows(scenes)]
    assert all(labels == sorted(set(labels)) and 1 <= len(labels) <= 3 for labels in sets)
    sizes = Counter(map(len, sets))
    assert min(sizes[2], sizes[3]) > 100
    assert sizes[1] > 10  # a digit that is there twice makes a scene with one label
    assert len(list((scenes / "images").iterdir())) == len(sets)


def test_every_split_has_images_with_and_without_each_digit(scenes: Path) -> None:
    for split in ("train", "validation", "test"):
        sets = [set(row["labels"].split(";")) for row in rows(scenes) if row["split"] == split]
        for digit in "0123456789":
            assert 0 < sum(digit in labels for labels in sets) < len(sets)


def test_a_scan_is_in_the_scenes_of_one_split_only(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[int, set[str]] = {}
    current = []

    def image(scan, pixels=32):
        current.append(scan.index)
        return Image.new("L", (pixels, pixels), 255)

    monkeypatch.setattr("transfercli.data.samples.digits.Scan.image", image)
    for file in DigitScenes(300).files():
        for index in current:
            drawn.setdefault(index, set()).add(str(file.split))
        current.clear()
    assert len(drawn) > 300
    assert all(len(splits) == 1 for splits in drawn.values())


def test_the_test_scans_are_those_of_the_folder_of_digits() -> None:
    assert {_SPLITS[scan.number % 5] for scan in scans() if scan.number % 5 == 4} == {"test"}


def test_a_scene_is_64_pixels_wide_with_digits_that_do_not_overlap(scenes: Path) -> None:
    for row in rows(scenes)[:40]:
        with Image.open(scenes / row["path"]) as image:
            assert (image.mode, image.size) == ("L", (64, 64))
            levels = np.asarray(image)
        quarters = [levels[y : y + 32, x : x + 32].max() > 100 for y in (0, 32) for x in (0, 32)]
        assert max(2, len(row["labels"].split(";"))) <= sum(quarters) <= 3


def test_the_bytes_are_the_same_on_every_machine(scenes: Path) -> None:
    digest = hashlib.sha256()
    for path in sorted((*scenes.rglob("*.png"), scenes / "labels.csv")):
        digest.update(path.relative_to(scenes).as_posix().encode() + path.read_bytes())
    assert digest.hexdigest() == "3dc7e09d0a5887ad82f8ffeef37cc988ea1fd6b4d31f0514eb295ef18ba6ac9b"


def test_more_scenes_begin_with_the_same_ones(scenes: Path) -> None:
    few = {file.path: file.content for file in DigitScenes(100).files() if file.split}
    assert len(few) == 100
    assert all((scenes / path).read_bytes() == content for path, content in few.items())


def test_the_config_in_the_folder_reads_the_table(scenes: Path) -> None:
    config = load(scenes / "config.yaml").config
    listing = list_images(config.data, Reporter(), config.task)
    assert listing.several
    assert listing.classes == set("0123456789")
    assert Counter(item.split for item in listing.items) == {"train": 600, "validation": 200, "test": 200}


@pytest.mark.parametrize("images", [99, 50_001])
def test_a_number_of_scenes_out_of_range_is_refused(images: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"--images {images}: .* 100 to 50,000"):
        write_sample("digits-scenes", tmp_path / "a", images)


def test_a_sample_with_a_fixed_number_of_images_takes_no_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'digits' has a fixed number of images"):
        write_sample("digits", tmp_path / "a", 500)
    assert not (tmp_path / "a").exists()
