"""`cache show` and `cache clear`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from transfercli.data.cache.images import DiskCache
from transfercli.data.image import Decoded, Geometry
from transfercli.workflows.data.cache import clear_caches, show_caches


def fill(folder: Path, images: int) -> None:
    store = DiskCache(folder, Geometry(8, 8), 10**9)
    for number in range(images):
        store.add(Decoded(f"{number:064}", f"{number:064}", 8, 8, pixels=np.zeros((8, 8, 3), np.uint8)))
    store.close()


def test_entries_and_bytes_are_counted_by_kind_and_in_all(tmp_path: Path) -> None:
    fill(tmp_path / "cache", 3)
    found = show_caches(tmp_path / "cache")
    assert found.folder == tmp_path / "cache"
    assert found.entries == found.caches["images"].entries == 3
    assert asdict(found.caches["features"]) == {"bytes": 0, "entries": 0}
    assert found.bytes >= 3 * 8 * 8 * 3
    assert found.limit == 50e9


def test_a_cleared_cache_reports_what_was_freed(tmp_path: Path) -> None:
    fill(tmp_path / "cache", 3)
    before = show_caches(tmp_path / "cache")
    done = clear_caches(tmp_path / "cache")
    assert done.cleared is not None
    assert (done.entries, done.cleared.in_use) == (0, 0)
    assert done.cleared.freed == before.bytes - done.bytes > 0


def test_without_a_folder_it_is_the_cache_of_the_runs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TRANSFERCLI_CACHE", str(tmp_path / "own"))
    fill(tmp_path / "own", 2)
    assert show_caches(None) == show_caches(tmp_path / "own")
    assert show_caches(None).entries == 2
