"""Checksums of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from transfercli.io.checksum import file_sha256


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 10_000], ids=["empty", "short", "several blocks"])
def test_the_checksum_is_the_sha256_of_all_bytes(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_missing_file_has_no_checksum(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "gone")
