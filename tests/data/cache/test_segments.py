"""Segments of the cache: bounds, eviction, and full disks."""

from __future__ import annotations

import os
import resource
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.data.pixels import all_pixels, segments
from transfercli.config.schema import ComputeConfig
from transfercli.data.cache import segments as segments_module
from transfercli.data.cache.images import DiskCache
from transfercli.data.cache.index import Entry
from transfercli.data.cache.segments import Segments, Space
from transfercli.data.dataset import Dataset
from transfercli.data.image import Decoded, Geometry
from transfercli.errors import DataError, DiskError, OutOfSpaceError

Load = Callable[..., Dataset]


TWO = {"cat": 12, "dog": 12}


def test_images_that_exceed_the_bound_are_not_cached(
    tmp_path: Path, grow: Any, load: Load, reporter: Any, cache_folder: Path
) -> None:
    grow(tmp_path / "images", TWO)
    load(tmp_path, compute=ComputeConfig(cache_max_gb=1e-6))
    assert "cache_max_gb" in reporter.warnings[0]
    assert segments(cache_folder) == []


def with_free_space(monkeypatch: pytest.MonkeyPatch, cache: Path, size: int, elsewhere: int) -> None:
    """Make the disk of the cache have `size` bytes for it and others nothing, and any other disk `elsewhere`."""

    def disk_usage(path: Any) -> SimpleNamespace:
        stored = sum(file.stat().st_size for file in segments(cache))
        return SimpleNamespace(free=size - stored if Path(path).is_relative_to(cache) else elsewhere)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)


def test_images_that_the_disk_has_no_room_for_are_decoded_for_this_run_before_anything_is_written(
    tmp_path: Path, grow: Any, load: Load, reporter: Any, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path / "images", TWO)
    expected = load(tmp_path, compute=ComputeConfig(cache="off")).splits["train"].images.read(np.arange(20))
    with_free_space(monkeypatch, cache_folder, 24 * 16 * 16 * 3, 10**9)  # a tenth is left to other programs
    found = load(tmp_path, compute=ComputeConfig())
    assert reporter.warnings[0].startswith("these images need 0.000 GB and the disk has room for 0.000 GB in the cache")
    assert reporter.warnings[0].endswith("images are decoded for this run only")
    assert segments(cache_folder) == []
    assert np.array_equal(found.splits["train"].images.read(np.arange(20)), expected)
    with pytest.raises(DiskError, match="'require', but these images need"):
        load(tmp_path, compute=ComputeConfig(cache="require"))


@pytest.mark.parametrize("cache", ["auto", "off"])
def test_images_that_no_disk_has_room_for_are_decoded_each_time_they_are_read(
    tmp_path: Path,
    grow: Any,
    load: Load,
    reporter: Any,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    cache: Any,
) -> None:
    grow(tmp_path / "images", TWO)
    expected = load(tmp_path, compute=ComputeConfig(cache="off")).splits["train"].images.read(np.arange(20))
    with_free_space(monkeypatch, cache_folder, 1000, 1000)
    images = load(tmp_path, compute=ComputeConfig(cache=cache)).splits["train"].images
    assert "images are decoded again each time they are read" in reporter.warnings[0]
    assert np.array_equal(images.read(np.array([5, 0, 5])), expected[[5, 0, 5]])
    assert segments(cache_folder) == []
    for changed in (tmp_path / "images").rglob("*.png"):
        changed.write_bytes(changed.read_bytes()[:50])
    with pytest.raises(DataError, match="has changed since it was read"):
        images.read(np.arange(20))


def test_other_images_are_evicted_when_the_disk_is_smaller_than_the_limit_of_the_cache(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_set = 24 * 16 * 16 * 3
    for number in range(3):
        grow(tmp_path / str(number), TWO, first=100 * number)
    with_free_space(monkeypatch, cache_folder, 5 * one_set // 2, 0)
    for number in range(3):
        assert load(tmp_path, str(number), compute=ComputeConfig(cache_max_gb=50)).cache.misses == 24
    assert load(tmp_path, "2", compute=ComputeConfig(cache_max_gb=50)).cache.misses == 0
    assert load(tmp_path, "0", compute=ComputeConfig(cache_max_gb=50)).cache.misses == 24


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


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the resident memory is read from /proc")
def test_released_rows_leave_the_memory_and_are_read_again(tmp_path: Path) -> None:
    store = segments_module.Segments(tmp_path, segments_module.Space("features/made", (2048,), "float32"), 10**9)
    rows = np.random.default_rng(0).random((4000, 2048), np.float32)
    for number, row in enumerate(rows):
        store.append(segments_module.Entry(f"{number}:0"), row)
    store.finish_segment()
    mapped = store.rows(store.entry("0:0").segment)
    assert np.array_equal(mapped, rows)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = resident()
    store.release()
    assert before - resident() > 0.9 * rows.nbytes
    assert np.array_equal(mapped, rows)
    store.close()


def test_features_of_runs_that_are_gone_are_evicted_before_older_ones_of_runs_that_exist(tmp_path: Path) -> None:
    stores, run = {}, tmp_path / "runs" / "kept"
    run.mkdir(parents=True)
    for name, user in (("old", run), ("gone", tmp_path / "runs" / "pruned"), ("unknown", None)):
        space = segments_module.Space(f"features/{name}", (100,), "uint8")
        store = stores[name] = segments_module.Segments(tmp_path / "cache", space, 400)
        store.append(segments_module.Entry("0:0"), np.zeros(100, np.uint8))
        store.close()
        if user:
            store = segments_module.Segments(tmp_path / "cache", space, 400)
            store.index.add_user(space.name, user)
            store.close()
    new = segments_module.Segments(tmp_path / "cache", segments_module.Space("features/new", (100,), "uint8"), 400)
    left = lambda: {space.removeprefix("features/") for _, space, _ in new.index.segments()}  # noqa: E731
    new.make_room(200)
    assert left() == {"old", "unknown"}
    new.make_room(300)
    assert left() == {"unknown"}
    new.close()


def test_who_wants_the_same_rows_waits_for_them_and_others_do_not(tmp_path: Path) -> None:
    space = Space("features/one", (2,), "float32")
    first, second = (Segments(tmp_path, space, 10**6) for _ in range(2))
    waits = threading.Event()
    found: list[str] = []

    def look() -> None:
        store = Segments(tmp_path, space, 10**6)
        with store.filling(["a", "b"], waits.set):
            found.extend(store.entries(["a", "b"]))
        store.close()

    with first.filling(["a", "b"], lambda: None):
        with second.filling(["c"], lambda: pytest.fail("these are other rows")):
            pass
        thread = threading.Thread(target=look)
        thread.start()
        assert waits.wait(60)
        for key in ("a", "b"):
            first.append(Entry(key), np.zeros(2, "float32"))
        first.flush()
    thread.join()
    first.close()
    second.close()
    assert sorted(found) == ["a", "b"]
    assert list((tmp_path / space.name).glob(".*")) == []
