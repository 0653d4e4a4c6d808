"""Rows of the cache: checked when read, and made again when damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.pixels import all_pixels, segments
from transfercli.data.dataset import Dataset

Load = Callable[..., Dataset]


TWO = {"cat": 12, "dog": 12}


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
