from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.config.schema import ComputeConfig
from transfercli.data import image
from transfercli.data.cache import segments as segments_module
from transfercli.data.cache.images import DiskCache, cache_root
from transfercli.data.dataset import Dataset, Split
from transfercli.data.decoding import decode
from transfercli.data.image import Decoded, Geometry
from transfercli.errors import ConfigError, DataError, OutOfSpaceError

Load = Callable[..., Dataset]
TWO = {"cat": 12, "dog": 12}


def everything(split: Split) -> np.ndarray:
    return split.images.read(np.arange(len(split)))


def all_pixels(dataset: Dataset) -> dict[str, bytes]:
    return {name: everything(split).tobytes() for name, split in dataset.splits.items()}


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("images/*/*.rows"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every file that ingest opens for reading."""
    seen: list[str] = []
    read = decode._read

    def counted(path: str) -> Any:
        seen.append(path)
        return read(path)

    monkeypatch.setattr(decode, "_read", counted)
    return seen


def test_a_second_load_opens_no_image_file(tmp_path: Path, grow: Any, load: Load, opened: list[str]) -> None:
    grow(tmp_path / "images", TWO)
    (tmp_path / "images" / "cat" / "bad.jpg").write_bytes(b"no image")
    first = load(tmp_path, max_bad_fraction=0.1)
    assert len(opened) == 25
    opened.clear()
    second = load(tmp_path, max_bad_fraction=0.1)
    assert opened == []
    assert (first.cache.hits, first.cache.misses) == (0, 24)
    assert (second.cache.hits, second.cache.misses) == (24, 0)
    assert second.records == first.records
    assert all_pixels(second) == all_pixels(first)


def test_changed_files_alone_are_read_again(
    tmp_path: Path, grow: Any, load: Load, opened: list[str], png: Callable[[int], bytes]
) -> None:
    grow(tmp_path / "images", TWO)
    load(tmp_path)
    opened.clear()
    changed = tmp_path / "images" / "cat" / "0003.png"
    changed.write_bytes(png(500))
    os.utime(tmp_path / "images" / "dog" / "0015.png", ns=(1, 1))
    found = load(tmp_path)
    assert sorted(Path(name).name for name in opened) == ["0003.png", "0015.png"]
    assert found.cache.misses == 1  # the other one only has another date: its content is known


def test_the_cache_is_shared_between_folders_and_sizes_stand_apart(
    tmp_path: Path, grow: Any, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path / "images", TWO)
    grow(tmp_path / "copy", TWO)
    load(tmp_path)
    assert load(tmp_path, "copy").cache.misses == 0
    assert load(tmp_path, "copy", size=24).cache.misses == 24
    assert load(tmp_path, "copy", resize="pad").cache.misses == 24
    monkeypatch.setattr(image, "VERSION", image.VERSION + 1)
    assert load(tmp_path, "copy").cache.misses == 24


def test_the_cache_is_private_and_says_what_it_is(tmp_path: Path, grow: Any, load: Load, cache_folder: Path) -> None:
    load(grow(tmp_path / "images", TWO).parent)
    assert cache_folder.stat().st_mode & 0o777 == 0o700
    assert (cache_folder / "images").stat().st_mode & 0o777 == 0o700
    assert (cache_folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_a_folder_that_held_other_things_keeps_its_permissions_and_shows_nobody_the_index(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    cache_folder.mkdir(mode=0o755)
    (cache_folder / "other").touch()
    load(grow(tmp_path / "images", TWO).parent)
    assert cache_folder.stat().st_mode & 0o777 == 0o755
    assert (cache_folder / "index.sqlite").stat().st_mode & 0o777 == 0o600
    assert (cache_folder / "images").stat().st_mode & 0o777 == 0o700


def test_the_config_places_the_cache_before_the_environment(tmp_path: Path, cache_folder: Path) -> None:
    assert cache_root(ComputeConfig()) == cache_folder
    assert cache_root(ComputeConfig(cache_dir=str(tmp_path / "c"))) == tmp_path / "c"


def test_a_relative_cache_folder_is_relative_to_the_config(tmp_path: Path, grow: Any, load: Load) -> None:
    load(grow(tmp_path / "images", TWO).parent, compute=ComputeConfig(cache_dir="near/cache"))
    assert len(segments(tmp_path / "near" / "cache")) == 1


def test_the_data_folder_is_only_read(tmp_path: Path, grow: Any, load: Load) -> None:
    grow(tmp_path / "images", TWO)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "images").rglob("*.png")}
    load(tmp_path)
    assert {
        p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "images").rglob("*") if p.is_file()
    } == before


def test_off_keeps_nothing_and_gives_the_same_pixels(tmp_path: Path, grow: Any, load: Load, cache_folder: Path) -> None:
    grow(tmp_path / "images", TWO)
    off = load(tmp_path, compute=ComputeConfig(cache="off"))
    assert not cache_folder.exists()
    assert all_pixels(off) == all_pixels(load(tmp_path))


def test_a_cache_that_cannot_be_used_is_a_warning_and_with_require_an_error(
    tmp_path: Path, grow: Any, load: Load, reporter: Any
) -> None:
    grow(tmp_path / "images", TWO)
    (tmp_path / "file").write_text("")
    place = str(tmp_path / "file" / "below")
    found = load(tmp_path, compute=ComputeConfig(cache_dir=place))
    assert "cannot be used" in reporter.warnings[0]
    assert all_pixels(found) == all_pixels(load(tmp_path))
    with pytest.raises(ConfigError, match="require"):
        load(tmp_path, compute=ComputeConfig(cache_dir=place, cache="require"))


def test_images_that_exceed_the_bound_are_not_cached(
    tmp_path: Path, grow: Any, load: Load, reporter: Any, cache_folder: Path
) -> None:
    grow(tmp_path / "images", TWO)
    load(tmp_path, compute=ComputeConfig(cache_max_gb=1e-6))
    assert "cache_max_gb" in reporter.warnings[0]
    assert segments(cache_folder) == []


def test_the_segments_used_longest_ago_are_evicted_first(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    one_set = 24 * 16 * 16 * 3
    room = ComputeConfig(cache_max_gb=2.5 * one_set / 1e9)
    for number in range(3):
        grow(tmp_path / str(number), TWO, first=100 * number)
    load(tmp_path, "0", compute=room)
    load(tmp_path, "1", compute=room)
    load(tmp_path, "0", compute=room)  # now 1 is the one used longest ago
    load(tmp_path, "2", compute=room)
    assert sum(path.stat().st_size for path in segments(cache_folder)) <= 2.5 * one_set
    assert load(tmp_path, "0", compute=room).cache.misses == 0
    assert load(tmp_path, "1", compute=room).cache.misses == 24


def test_pixels_stay_readable_when_another_process_evicts_them(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    found = load(grow(tmp_path / "images", TWO).parent)
    before = all_pixels(load(tmp_path))
    for path in segments(cache_folder):
        path.unlink()
    assert all_pixels(found) == before


@pytest.mark.parametrize("damage", ["cut", "gone", "flipped", "index", "index page"])
def test_a_damaged_cache_is_read_again_and_never_believed(
    damage: str, tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    sound = all_pixels(load(grow(tmp_path / "images", TWO).parent))
    (segment,) = segments(cache_folder)
    content = segment.read_bytes()
    if damage == "cut":
        segment.write_bytes(content[:-1])
    elif damage == "gone":
        segment.unlink()
    elif damage == "flipped":
        segment.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    elif damage == "index":
        (cache_folder / "index.sqlite").write_bytes(b"no database" * 1000)
    else:
        index = cache_folder / "index.sqlite"
        pages = bytearray(index.read_bytes())
        pages[4096:] = b"\xa5" * (len(pages) - 4096)
        index.write_bytes(pages)
    assert all_pixels(load(tmp_path)) == sound
    assert all_pixels(load(tmp_path)) == sound
    assert load(tmp_path).cache.misses == 0


def test_damage_that_the_file_cannot_mend_is_an_error(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    found = load(grow(tmp_path / "images", TWO).parent)
    (segment,) = segments(cache_folder)
    with segment.open("r+b") as file:
        file.write(b"\xff" * segment.stat().st_size)
    for path in (tmp_path / "images").rglob("*.png"):
        path.write_bytes(b"something else")
    with pytest.raises(DataError, match="damaged"):
        everything(found.splits["train"])


def test_what_a_crash_left_behind_is_swept_and_nothing_else(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    load(grow(tmp_path / "images", TWO).parent)
    folder = segments(cache_folder)[0].parent
    old, young, kept = folder / ".a.tmp", folder / ".b.tmp", segments(cache_folder)[0]
    for path in (old, young):
        path.write_bytes(b"half")
    for path in (old, kept):
        os.utime(path, (time.time() - 10 * segments_module.STALE_SECONDS,) * 2)
    load(tmp_path)
    assert (old.exists(), young.exists(), kept.exists()) == (False, True, True)


def test_an_interrupted_pass_keeps_what_it_read(tmp_path: Path, grow: Any, load: Load, reporter: Any) -> None:
    grow(tmp_path / "images", {"cat": 60, "dog": 60})

    def stop(stage: str, done: int, total: int, unit: str = "images") -> None:
        if done == 64:
            raise KeyboardInterrupt

    reporter.progress = stop
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path)
    reporter.progress = lambda *_: None
    assert load(tmp_path).cache.hits == 64


def test_large_passes_become_several_segments(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments_module, "SEGMENT_BYTES", 5 * 16 * 16 * 3)
    monkeypatch.setattr(segments_module, "OPEN_SEGMENTS", 2)
    grow(tmp_path / "images", TWO)
    found = load(tmp_path)
    assert [path.stat().st_size // (16 * 16 * 3) for path in segments(cache_folder)].count(5) == 4
    assert all_pixels(found) == all_pixels(load(tmp_path, compute=ComputeConfig(cache="off")))


def test_no_room_is_an_error_of_its_own_and_leaves_no_half_segment(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DiskCache(cache_folder, Geometry(8, 8), 10**9)
    store.add(Decoded("a" * 64, "b" * 64, 8, 8, pixels=np.zeros((8, 8, 3), np.uint8)))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutOfSpaceError):
        store.close()
    assert [path.name for path in cache_folder.glob("images/*/*")] == []


def test_a_disk_that_fills_up_is_no_room_also_for_what_still_waits_to_be_written(cache_folder: Path) -> None:
    store = DiskCache(cache_folder, Geometry(8, 8), 10**9)
    store.add(Decoded("a" * 64, "b" * 64, 8, 8, pixels=np.zeros((8, 8, 3), np.uint8)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OutOfSpaceError):
            store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in cache_folder.glob("images/*/*")] == []


def test_an_index_that_fails_costs_the_next_run_time_and_this_one_a_warning(
    tmp_path: Path, grow: Any, load: Load, reporter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: Any) -> None:
        raise sqlite3.OperationalError("database is locked")

    grow(tmp_path / "images", TWO)
    monkeypatch.setattr("transfercli.data.cache.index.Index.add", locked)
    found = load(tmp_path)
    assert "database is locked" in reporter.warnings[0]
    assert all_pixels(found) == all_pixels(load(tmp_path, compute=ComputeConfig(cache="off")))


PROGRAM = """
import sys
from pathlib import Path
from transfercli.config.schema import ComputeConfig, DataConfig
from transfercli.data.load import DataRequest, load_dataset
from transfercli.reporting import Reporter
for _ in range(3):
    config = DataConfig(train=str(Path(sys.argv[1]) / "images"))
    load_dataset(DataRequest(config, (16, 16), ComputeConfig()), Reporter())
"""


def test_two_processes_fill_it_at_once(tmp_path: Path, grow: Any, load: Load) -> None:
    grow(tmp_path / "images", {"cat": 90, "dog": 90})
    started = [subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)]) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    found = load(tmp_path)
    assert found.cache.misses == 0
    assert all_pixels(found) == all_pixels(load(tmp_path, compute=ComputeConfig(cache="off")))
