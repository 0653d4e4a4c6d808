"""Files that change without a trace in their size and modification time."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from transfercli.config.paths import resolve_paths
from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data.cache.recheck import Recheck
from transfercli.data.dataset import Dataset
from transfercli.data.load import DataRequest, load_dataset
from transfercli.workflows.train.training_data import fingerprint

FILES = [f"images/{number:05d}.png" for number in range(5000)]


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.png")
    }


def whole_second_times(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def test_two_files_of_equal_size_and_time_that_change_places_are_read_again(
    tmp_path: Path, grow: Any, load: Callable[..., Dataset], png: Callable[[int], bytes]
) -> None:
    images = grow(tmp_path / "images", {"cat": 12, "dog": 12})
    first, second = images / "cat" / "first.bmp", images / "dog" / "second.bmp"
    for path, number in ((first, 100), (second, 200)):
        path.write_bytes(png(number).ljust(4000, b"\0"))  # zeros after a PNG are allowed
        os.utime(path, (1_700_000_000, 1_700_000_000))
    before = load(tmp_path)
    first.rename(tmp_path / "t")
    second.rename(first)
    (tmp_path / "t").rename(second)
    after = load(tmp_path)
    assert fingerprint(after) != fingerprint(before)
    present = {record.path: record.sha256 for record in after.records}
    assert present["cat/first.bmp"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert present["dog/second.bmp"] == hashlib.sha256(second.read_bytes()).hexdigest()


def test_bytes_replaced_in_place_with_the_old_times_are_read_again(
    tmp_path: Path, grow: Any, load: Callable[..., Dataset], png: Callable[[int], bytes]
) -> None:
    images = grow(tmp_path / "images", {"cat": 12, "dog": 12})
    path = next((images / "cat").iterdir())
    path.write_bytes(png(100).ljust(4000, b"\0"))
    whole_second_times(images)
    load(tmp_path)
    inode = path.stat().st_ino
    path.write_bytes(png(200).ljust(4000, b"\0"))
    whole_second_times(images)
    assert path.stat().st_ino == inode
    found = {record.path: record.sha256 for record in load(tmp_path).records}
    assert found == hashes(images)


def forge(cache: Path, file: str, sha256: str) -> None:
    """Record another content for a file's present state, as if its state had not changed with its bytes."""
    with sqlite3.connect(cache / "index.sqlite") as index:
        change = "UPDATE file_states SET sha256 = ? WHERE path = ?"
        assert index.execute(change, (sha256, os.fsencode(file))).rowcount == 1


def test_a_recheck_that_finds_other_bytes_warns_and_reads_every_file_again(
    tmp_path: Path, grow: Any, reporter: Any, cache_folder: Path
) -> None:
    images = grow(tmp_path / "images", {"cat": 150, "dog": 150})
    config = resolve_paths(DataConfig(train="images"), tmp_path, ("data",))
    request = DataRequest(config, (8, 8), ComputeConfig(threads=1))
    load_dataset(request, reporter)
    real = hashes(images)
    files = [str(images / name) for name in sorted(real)]
    drawn, spared = Recheck(0, 7).sample(files), [*Recheck(0, 8).sample(files)]
    for file, other in ((min(drawn), spared[0]), (spared[1], spared[0])):
        forge(cache_folder, file, real[str(Path(other).relative_to(images))])
    assert {r.path: r.sha256 for r in load_dataset(request, reporter).records} != real
    found = load_dataset(replace(request, recheck=Recheck(0, 7)), reporter)
    assert {record.path: record.sha256 for record in found.records} == real
    assert (found.cache.hits, found.cache.misses) == (300, 0)
    [warning] = [text for text in reporter.warnings if "other bytes" in text]
    assert f"1 of {len(drawn)} unchanged files drawn" in warning
    assert "all files are read again" in warning


def test_every_file_is_drawn_once_in_thirty_nights_and_few_files_every_night() -> None:
    nights = [Recheck(3, night).sample(FILES) for night in range(30)]
    assert sorted(file for night in nights for file in night) == FILES
    assert max(map(len, nights)) < 250
    assert Recheck(3, 4).sample(FILES) == nights[4] != Recheck(4, 4).sample(FILES)
    assert Recheck(3, 34).sample(FILES) == nights[4]
    assert Recheck(3, 11).sample(FILES[:150]) == {*FILES[:150]}
    assert Recheck(3, 0).sample([]) == frozenset()


def test_every_file_is_drawn_in_any_thirty_nights_while_the_data_set_grows() -> None:
    counts = [150 + 60 * night for night in range(75)]
    nights = [Recheck(3, night).sample(FILES[:count]) for night, count in enumerate(counts)]
    for start in range(45):
        assert set(FILES[: counts[start]]) <= frozenset().union(*nights[start : start + 30])
    assert max(map(len, nights)) < 300
