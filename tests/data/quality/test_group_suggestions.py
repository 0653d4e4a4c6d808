"""Suggestions of groups: names with a running number, bursts, near duplicates; and no false alarm for counters."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from transfercli.data.quality.file_headers import read_header
from transfercli.data.quality.group_suggestions import EXPRESSION, GroupSuggestion, suggest_groups


def suggested(paths: list[str], near: list[list[int]] | None = None) -> GroupSuggestion | None:
    labels = [path.split("/")[0] for path in paths]
    return suggest_groups(paths, labels, [""] * len(paths), near or [])


def test_names_with_a_running_number_give_the_expression_for_data_group() -> None:
    people = [("cat", "anna"), ("cat", "ben"), ("cat", "carla"), ("dog", "dora"), ("dog", "emil"), ("dog", "anna")]
    paths = [f"{label}/{name}_{shot:03d}.jpg" for label, name in people for shot in range(1, 11)]
    found = suggested(paths)
    assert found == GroupSuggestion("names", 60, 5, EXPRESSION)
    assert {re.search(EXPRESSION, path)[1] for path in paths} == {"anna", "ben", "carla", "dora", "emil"}  # type: ignore[index]
    assert "60 images seem to be in 5 groups" in str(found)
    assert "data.group: '" in str(found)


@pytest.mark.parametrize(
    "name",
    [
        "{number:04d}.png",  # one counter
        "IMG_{number:04d}.JPG",
        "{label}_{number}.jpg",  # the class and a counter
        "{label}.{number}.jpg",
        "image ({number}).jpg",
        "IMG_202405{day:02d}_{second:06d}.jpg",  # times
        "2024-05-{day:02d}.jpg",
        "{word}_s_{sparse:06d}.png",  # CIFAR's names: a kind of aeroplane, and the number of all images
        "{second:06d}_f52e8ee070_n.jpg",
    ],
)
def test_counters_and_times_are_no_groups(name: str) -> None:
    paths = [
        f"{label}/"
        + name.format(
            label=label,
            number=number,
            day=1 + number % 28,
            second=(number * 7919 + len(label)) % 235959,
            word=("jet", "airbus", "plane", "kite", "wing")[number % 5],
            sparse=number * 37 % 9973,
        )
        for label in ("cat", "dogs", "horses")
        for number in range(1, 101)
    ]
    assert suggested(paths) is None


def test_many_sets_of_near_duplicates_are_a_sign_and_few_are_none() -> None:
    paths = [f"cat/{number:04d}.png" for number in range(100)]
    sets = [[3 * row, 3 * row + 1, 3 * row + 2] for row in range(6)]
    assert suggested(paths, sets) == GroupSuggestion("near duplicates", 18, 6)
    assert "a column of a table" in str(suggested(paths, sets))
    assert suggested(paths, sets[:4]) is None
    assert suggested(paths, [list(range(60))]) is None


def test_photographs_of_one_second_and_camera_are_a_burst(tmp_path: Path) -> None:
    moments = []
    for number in range(24):
        exif = Image.Exif()
        exif[0x0110] = "Camera X"
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:17 10:00:{number // 4:02d}"
        Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg", exif=exif)
        moments.append(read_header(str(tmp_path / "photo.jpg")).moment)
    assert moments[0] == "2024:05:17 10:00:00 Camera X"
    paths = [f"cat/{number:04d}.jpg" for number in range(24)]
    assert suggest_groups(paths, ["cat"] * 24, moments, []) == GroupSuggestion("bursts", 24, 6)
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff damaged")
    assert read_header(str(tmp_path / "photo.jpg")).moment == ""
