"""Writes are whole or absent."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from transfercli.errors import DiskError, OutOfSpaceError
from transfercli.io import atomic


def test_a_failed_write_leaves_what_stood_there_and_nothing_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "file"
    atomic.write_text(place, "old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutOfSpaceError, match="No space left"):
        atomic.write_with(place, fail)
    assert place.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with atomic.new_folder(tmp_path / "place") as folder:
            (folder / "half").write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    assert os.listdir(tmp_path) == []
    with atomic.new_folder(tmp_path / "place") as folder:
        (folder / "whole").write_text("whole")
        assert not (tmp_path / "place").exists()
    assert (tmp_path / "place" / "whole").read_text() == "whole"


def test_a_link_is_switched_and_stays_relative(tmp_path: Path) -> None:
    atomic.replace_symlink(tmp_path / "latest", "one")
    atomic.replace_symlink(tmp_path / "latest", "two")
    assert (tmp_path / "latest").readlink() == Path("two")
    assert os.listdir(tmp_path) == ["latest"]


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "x.json", {"value": float("nan")})


def test_a_line_that_a_kill_cut_short_is_ended_and_not_continued(tmp_path: Path) -> None:
    log = tmp_path / "log"
    atomic.append_line(log, "whole")
    log.write_bytes(log.read_bytes() + b"cut sho")
    for durable in (True, False):
        atomic.append_line(log, f"durable {durable}", durable=durable)
    assert log.read_text() == "whole\ncut sho\ndurable True\ndurable False\n"


def test_a_line_that_has_no_room_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    atomic.append_line(log, "whole")

    def full(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="Input/output error"):
        atomic.append_line(log, "half")
    assert log.read_text() == "whole\n"


def test_a_write_that_takes_only_a_part_goes_on(tmp_path: Path) -> None:
    class Small(io.RawIOBase):
        def __init__(self) -> None:
            self.taken = b""

        def write(self, content) -> int:
            self.taken += bytes(content[:3])
            return min(3, len(content))

    small = Small()
    atomic.write_all(small, b"0123456789")
    assert small.taken == b"0123456789"


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".epoch-00001.4711.tmp" / "inner").mkdir(parents=True)
    (tmp_path / ".last.4711.tmp").symlink_to("epoch-00001.gone")
    (tmp_path / ".run.json.4711.tmp").write_text("half")
    for name in (".lock", "run.json", ".hidden.tmp", "a.4711.tmp"):
        (tmp_path / name).write_text("kept")
    atomic.remove_temporaries(tmp_path)
    atomic.remove_temporaries(tmp_path / "gone")
    assert sorted(os.listdir(tmp_path)) == [".hidden.tmp", ".lock", "a.4711.tmp", "run.json"]
