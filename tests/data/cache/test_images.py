from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.pixels import all_pixels, segments
from transfercli.config.schema import ComputeConfig
from transfercli.data import image
from transfercli.data.cache.images import cache_root
from transfercli.data.dataset import Dataset
from transfercli.data.decoding import decode
from transfercli.errors import ConfigError

Load = Callable[..., Dataset]
TWO = {"cat": 12, "dog": 12}


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


def test_an_interrupted_pass_keeps_what_it_read(tmp_path: Path, grow: Any, load: Load, reporter: Any) -> None:
    grow(tmp_path / "images", {"cat": 60, "dog": 60})

    reporter.stop_at, reporter.error = lambda step: step[1] == 64, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path)
    reporter.stop_at = None
    assert load(tmp_path).cache.hits == 64


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
