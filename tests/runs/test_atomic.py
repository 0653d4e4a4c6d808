"""Writes are whole or absent."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from transfercli.errors import RoomError
from transfercli.runs import atomic


def test_a_failed_write_leaves_what_stood_there_and_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "file"
    atomic.write_text(place, "old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RoomError, match="No space left"):
        atomic.write_with(place, fail)
    assert place.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic.new_folder(tmp_path / "place") as folder:
        (folder / "half").write_text("half")
        raise KeyError
    assert os.listdir(tmp_path) == []
    with atomic.new_folder(tmp_path / "place") as folder:
        (folder / "whole").write_text("whole")
        assert not (tmp_path / "place").exists()
    assert (tmp_path / "place" / "whole").read_text() == "whole"


def test_a_link_is_switched_and_stays_relative(tmp_path: Path) -> None:
    atomic.point(tmp_path / "latest", "one")
    atomic.point(tmp_path / "latest", "two")
    assert os.readlink(tmp_path / "latest") == "two"
    assert os.listdir(tmp_path) == ["latest"]


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "x.json", {"value": float("nan")})
