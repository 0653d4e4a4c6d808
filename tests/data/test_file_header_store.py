from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transfercli.data import file_header_store
from transfercli.data.cache.images import DiskCache
from transfercli.data.cache.index import Index
from transfercli.data.cache.maintenance import clear
from transfercli.data.image import Geometry
from transfercli.data.quality.file_headers import FileHeader
from transfercli.reporting import Reporter


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose heads are read from now on."""
    files: list[str] = []
    read = file_header_store.read_header
    monkeypatch.setattr(file_header_store, "read_header", lambda file: (files.append(file), read(file))[1])
    return files


@pytest.fixture
def digits(tmp_path: Path, png: Callable[[int], bytes]) -> list[tuple[str, str]]:
    """Three files, of which the first two have one content, and the row of an array."""
    for name, n in (("a.png", 0), ("b.png", 0), ("c.png", 1)):
        (tmp_path / name).write_bytes(png(n))
    return [*[(str(tmp_path / name), f"{n:064}") for name, n in (("a.png", 0), ("b.png", 0), ("c.png", 1))], ("", "x")]


def test_a_content_is_opened_once_and_then_known(
    digits: Any, opened: list[str], cache_folder: Path, reporter: Reporter
) -> None:
    DiskCache(cache_folder, Geometry(8, 8), 10**9).close()
    first = file_header_store.load_headers(digits, cache_folder, reporter)
    assert first == [FileHeader("PNG"), FileHeader("PNG"), FileHeader("PNG"), FileHeader()]
    assert opened == [digits[0][0], digits[2][0]]
    opened.clear()
    assert file_header_store.load_headers(digits, cache_folder, reporter) == first
    assert opened == []


def test_without_a_cache_every_content_is_opened_each_time(digits: Any, opened: list[str], reporter: Reporter) -> None:
    for _ in range(2):
        file_header_store.load_headers(digits, None, reporter)
    assert len(opened) == 4


def test_a_file_that_cannot_be_read_is_asked_again(
    digits: Any, opened: list[str], cache_folder: Path, reporter: Reporter
) -> None:
    DiskCache(cache_folder, Geometry(8, 8), 10**9).close()
    shutil.move(digits[2][0], digits[2][0] + ".away")
    assert file_header_store.load_headers(digits, cache_folder, reporter)[2] == FileHeader()
    shutil.move(digits[2][0] + ".away", digits[2][0])
    assert file_header_store.load_headers(digits, cache_folder, reporter)[2] == FileHeader("PNG")


def test_clearing_the_cache_forgets_the_heads(digits: Any, cache_folder: Path, reporter: Reporter) -> None:
    DiskCache(cache_folder, Geometry(8, 8), 10**9).close()
    file_header_store.load_headers(digits, cache_folder, reporter)
    clear(cache_folder)
    index = Index(cache_folder)
    assert index.headers([digits[0][1]]) == {}
    index.close()
