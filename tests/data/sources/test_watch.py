"""A drop folder names each image once it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from transfercli.data.sources.watch import watch_folder
from transfercli.errors import DataError


def named(folder: Path, *between: Callable[[], object]) -> list[str]:
    """What is named while `between` happens, one thing between two looks; then nothing more, for two looks."""
    left = [*between, lambda: None, lambda: None]

    class OverError(Exception):
        pass

    def rest(seconds: float) -> None:
        if not left:
            raise OverError
        left.pop(0)()

    found: list[str] = []
    with pytest.raises(OverError):
        found.extend(one.path for one in watch_folder(folder, 1.0, rest))
    return [str(Path(path).relative_to(folder)) for path in found]


def test_what_is_there_and_what_comes_is_named_once_in_order(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"1")
    later = tmp_path / "later"

    def come() -> None:
        later.mkdir()
        (later / "c.jpeg").write_bytes(b"1")

    assert named(tmp_path, lambda: None, come) == ["a.jpg", "b.png", "later/c.jpeg"]


def test_a_file_that_grows_is_left_alone_until_it_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    sizes: list[int] = []

    def grow() -> None:
        with file.open("ab") as end:
            end.write(b"more")
        sizes.append(file.stat().st_size)

    found = []

    def rest(seconds: float) -> None:
        if len(sizes) < 4:
            grow()

    found = [(one.path, file.stat().st_size) for one in islice(watch_folder(tmp_path, 1.0, rest), 1)]
    assert found == [(str(file), sizes[-1])]


def test_one_that_is_written_anew_or_comes_back_is_named_again(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"1")
    anew = [lambda: None, lambda: None, lambda: file.write_bytes(b"22"), lambda: None]
    assert named(tmp_path, *anew) == ["a.png"] * 2
    gone = [lambda: None, file.unlink, lambda: None, lambda: file.write_bytes(b"22"), lambda: None]
    assert named(tmp_path, *gone) == ["a.png"] * 2


def test_what_cannot_be_opened_is_passed_over_and_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.png").symlink_to(tmp_path / "nothing")
    assert named(folder) == []
    names = watch_folder(folder, 1.0, lambda _: shutil.rmtree(folder))
    with pytest.raises(DataError, match="in"):
        next(names)
    assert not os.path.lexists(folder)
