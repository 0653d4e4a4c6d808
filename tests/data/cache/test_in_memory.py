"""Pixels of one process, with the cache off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.data.pixels import all_pixels
from transfercli.config.schema import ComputeConfig
from transfercli.data.dataset import Dataset

Load = Callable[..., Dataset]


TWO = {"cat": 12, "dog": 12}


def test_off_keeps_nothing_and_gives_the_same_pixels(tmp_path: Path, grow: Any, load: Load, cache_folder: Path) -> None:
    grow(tmp_path / "images", TWO)
    off = load(tmp_path, compute=ComputeConfig(cache="off"))
    assert not cache_folder.exists()
    assert all_pixels(off) == all_pixels(load(tmp_path))
