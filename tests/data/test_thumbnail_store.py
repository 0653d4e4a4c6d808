from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from transfercli.data import thumbnail_store
from transfercli.data.cache.images import DiskCache, pixel_space
from transfercli.data.cache.index import Entry, Index
from transfercli.data.cache.maintenance import clear
from transfercli.data.image import Decoded, Geometry
from transfercli.data.quality.near_duplicates import fingerprints_of
from transfercli.data.thumbnail_store import load_fingerprints
from transfercli.reporting import Reporter

GEOMETRY = Geometry(16, 16)
KEYS = ("a" * 64, "b" * 64, "a" * 64, "c" * 64)


@dataclass
class Counting:
    """Images that remember which of them were read."""

    pixels: np.ndarray
    asked: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pixels)

    def read(self, indices: np.ndarray) -> np.ndarray:
        self.asked += [int(index) for index in indices]
        return self.pixels[indices]


@pytest.fixture
def images() -> Counting:
    drawn = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
    return Counting(drawn[[0, 1, 0, 2]])


@pytest.fixture
def entries(cache_folder: Path, images: Counting) -> list[Entry]:
    """What the cache says of the images."""
    cache = DiskCache(cache_folder, GEOMETRY, 10**9)
    found = {key: Decoded(key, key, 16, 16, pixels=images.pixels[row]) for row, key in enumerate(KEYS)}
    added = {key: cache.add(decoded) for key, decoded in found.items()}
    cache.close()
    return [added[key] for key in KEYS]


def test_a_second_look_reads_no_pixels(
    images: Counting, entries: list[Entry], cache_folder: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnail_store, "ROWS", 3)
    first = load_fingerprints(images, entries, GEOMETRY, cache_folder, reporter)
    assert images.asked == [0, 1, 2, 3]
    assert first.tobytes() == fingerprints_of([*images.pixels]).tobytes()
    images.asked.clear()
    assert load_fingerprints(images, entries[::-1], GEOMETRY, cache_folder, reporter).tobytes() == first[::-1].tobytes()
    assert images.asked == []


def test_what_is_new_is_looked_at_alone(
    images: Counting, entries: list[Entry], cache_folder: Path, reporter: Reporter
) -> None:
    load_fingerprints(images, entries[:1], GEOMETRY, cache_folder, reporter)
    images.asked.clear()
    assert (
        load_fingerprints(images, entries, GEOMETRY, cache_folder, reporter).tobytes()
        == fingerprints_of([*images.pixels]).tobytes()
    )
    assert images.asked == [1, 3]


def test_another_geometry_is_looked_at_again(
    images: Counting, entries: list[Entry], cache_folder: Path, reporter: Reporter
) -> None:
    for resize in ("stretch", "pad"):
        images.asked.clear()
        load_fingerprints(images, entries, Geometry(16, 16, resize), cache_folder, reporter)
        assert images.asked == [0, 1, 2, 3]


def test_another_version_is_looked_at_again(
    images: Counting, entries: list[Entry], cache_folder: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_fingerprints(images, entries, GEOMETRY, cache_folder, reporter)
    monkeypatch.setattr(thumbnail_store, "VERSION", thumbnail_store.VERSION + 1)
    images.asked.clear()
    load_fingerprints(images, entries, GEOMETRY, cache_folder, reporter)
    assert images.asked == [0, 1, 2, 3]


def test_without_a_cache_all_is_looked_at_each_time(images: Counting, entries: list[Entry], reporter: Reporter) -> None:
    for _ in range(2):
        load_fingerprints(images, entries, GEOMETRY, None, reporter)
    assert images.asked == [0, 1, 2, 3] * 2


FORGETTING: dict[str, Callable[[Path, Entry], object]] = {
    "clear": lambda root, _: clear(root),
    "eviction": lambda root, _: DiskCache(root, GEOMETRY, 1).make_room(1),
    "damage": lambda root, entry: DiskCache(root, GEOMETRY, 10**9).damaged(entry.segment),
}


@pytest.mark.parametrize("way", FORGETTING)
def test_looks_go_with_the_pixels(
    way: str, images: Counting, entries: list[Entry], cache_folder: Path, reporter: Reporter
) -> None:
    load_fingerprints(images, entries, GEOMETRY, cache_folder, reporter)
    FORGETTING[way](cache_folder, entries[0])
    index = Index(cache_folder)
    assert index.fingerprints(pixel_space(GEOMETRY).name, thumbnail_store.VERSION, KEYS) == {}
    index.close()
