"""Files below a folder in which other processes create and remove files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from transfercli.io import file_sizes


def test_files_have_their_sizes_and_links_and_files_removed_meanwhile_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"12345")
    (tmp_path / "a").write_bytes(b"123")
    (tmp_path / "link").symlink_to("a")
    real = os.walk

    def with_a_removed_file(folder: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        return ((parent, folders, [*names, "removed.tmp"]) for parent, folders, names in real(folder))

    monkeypatch.setattr(file_sizes.os, "walk", with_a_removed_file)
    assert list(file_sizes.regular_files(tmp_path)) == [(tmp_path / "a", 3), (tmp_path / "sub" / "b", 5)]
    assert file_sizes.folder_size(tmp_path) == 8
    assert file_sizes.folder_size(tmp_path / "gone") == 0
