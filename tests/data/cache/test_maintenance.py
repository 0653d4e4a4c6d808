from __future__ import annotations

import gc
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transfercli.data.cache.images import DiskCache
from transfercli.data.cache.maintenance import ClearResult, Usage, clear, usage
from transfercli.data.dataset import Dataset
from transfercli.data.image import Decoded, Geometry
from transfercli.errors import UsageError

Load = Callable[..., Dataset]
TWO = {"cat": 12, "dog": 12}
PIXELS = 24 * 16 * 16 * 3


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("images/*/*.rows"))


def test_a_cache_that_is_not_there_holds_nothing_and_is_not_made(tmp_path: Path) -> None:
    assert usage(tmp_path / "none", "images") == Usage()
    assert clear(tmp_path / "none") == ClearResult()
    assert not (tmp_path / "none").exists()


def test_usage_counts_images_and_the_bytes_of_all_files(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    grow(tmp_path / "images", TWO)
    (tmp_path / "images" / "cat" / "bad.png").write_bytes(b"no image")
    load(tmp_path, max_bad_fraction=0.1)
    found = usage(cache_folder, "images")
    assert found.entries == 24
    assert found.bytes == PIXELS


def test_clear_leaves_what_is_in_use_and_frees_it_afterwards(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    grow(tmp_path / "images", TWO)
    grow(tmp_path / "other", TWO, first=300)
    found = load(tmp_path)
    load(tmp_path, "other")
    gc.collect()
    done = clear(cache_folder)
    assert done.in_use == PIXELS
    assert done.freed >= PIXELS
    assert usage(cache_folder, "images").entries == 24
    train = found.splits["train"]
    before = train.images.read(np.arange(len(train)))
    assert load(tmp_path).cache.misses == 0
    del found, train
    gc.collect()
    assert clear(cache_folder).in_use == 0
    assert segments(cache_folder) == []
    assert usage(cache_folder, "images").entries == 0
    again = load(tmp_path)
    assert again.cache.misses == 24
    assert np.array_equal(again.splits["train"].images.read(np.arange(len(before))), before)


def test_clear_forgets_the_names_of_the_users_files(tmp_path: Path, grow: Any, load: Load, cache_folder: Path) -> None:
    grow(tmp_path / "images", TWO)
    load(tmp_path)
    gc.collect()
    index = cache_folder / "index.sqlite"
    assert b"0003.png" in index.read_bytes()
    clear(cache_folder)
    assert b"0003.png" not in index.read_bytes()


def test_a_segment_that_is_being_filled_stays_and_a_half_one_of_the_dead_goes(cache_folder: Path) -> None:
    store = DiskCache(cache_folder, Geometry(8, 8), 10**9)
    store.add(Decoded("a" * 64, "b" * 64, 8, 8, pixels=np.zeros((8, 8, 3), np.uint8)))
    (store.folder / ".dead.tmp").write_bytes(b"half")
    clear(cache_folder)
    assert [path.suffix for path in store.folder.iterdir()] == [".tmp"]
    assert not (store.folder / ".dead.tmp").exists()
    store.close()
    assert usage(cache_folder, "images").entries == 1
    assert len(segments(cache_folder)) == 1


def test_files_of_others_in_the_folder_are_left_alone(
    tmp_path: Path, grow: Any, load: Load, cache_folder: Path
) -> None:
    load(grow(tmp_path / "images", TWO).parent)
    gc.collect()
    mine = segments(cache_folder)[0].parent / "thesis.docx"
    mine.write_text("mine")
    linked = segments(cache_folder)[0].parent / "linked.rows"
    (tmp_path / "photo.rows").write_text("mine too")
    linked.symlink_to(tmp_path / "photo.rows")
    clear(cache_folder)
    assert mine.read_text() == "mine"
    assert (tmp_path / "photo.rows").read_text() == "mine too"
    assert segments(cache_folder) == [linked]


def test_a_segment_that_vanished_is_forgotten(tmp_path: Path, grow: Any, load: Load, cache_folder: Path) -> None:
    load(grow(tmp_path / "images", TWO).parent)
    gc.collect()
    segments(cache_folder)[0].unlink()
    clear(cache_folder)
    assert usage(cache_folder, "images").entries == 0


def test_a_damaged_index_is_begun_anew(tmp_path: Path, grow: Any, load: Load, cache_folder: Path) -> None:
    load(grow(tmp_path / "images", TWO).parent)
    gc.collect()
    (cache_folder / "index.sqlite").write_bytes(b"no database" * 1000)
    assert usage(cache_folder, "images").entries == 0
    assert clear(cache_folder).freed >= PIXELS
    assert segments(cache_folder) == []


def test_an_index_that_cannot_be_opened_is_said(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DiskCache(cache_folder, Geometry(8, 8), 10**9).close()

    def locked(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(sqlite3, "connect", locked)
    with pytest.raises(UsageError, match="database is locked"):
        usage(cache_folder, "images")
    assert os.listdir(cache_folder / "images")
