"""Writes that are either whole or absent, and survive a power cut.

The order is always: write beside the place, fsync the file, rename, fsync the folder. A full or failing disk
(`NO_ROOM`, EIO) becomes `RoomError`; what stood at the place before still stands.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transfercli.errors import NO_ROOM, ArtefactError, RoomError, UsageError

_NO_ROOM = {*NO_ROOM, errno.EIO}
_NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG}


@contextmanager
def room_errors(path: Path) -> Iterator[None]:
    """While writing at `path`: 'no space left' and its kin become `RoomError`, a place that cannot be `UsageError`."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise ArtefactError(f"cannot write {path}: a folder stands in its place", "move the folder away") from error
        if error.errno in _NO_PLACE:
            raise UsageError(
                f"cannot write {path}: {error.strerror}", "name another place, or make it writable"
            ) from error
        if error.errno not in _NO_ROOM:
            raise
        raise RoomError(
            f"cannot write {path.name}: {error.strerror}; what was written before it is whole",
            "free disk space, then start the same command again",
        ) from error


def fsync_folder(folder: Path) -> None:
    """Make renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place."""
    temporary = _temporary(path)
    with room_errors(path):
        try:
            write(temporary)
            fsync_file(temporary)
            os.replace(temporary, path)
            fsync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_with(path, write)


def write_text(path: Path, text: str) -> None:
    """UTF-8; lone surrogates (file names that were not UTF-8) come back with the same error handler."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Strict JSON: NaN is refused, because no other reader would take it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """One durable line at the end of a log of lines."""
    with room_errors(path), path.open("ab") as file:
        file.write(line.encode("utf-8") + b"\n")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A folder that appears at `place` whole, when the block ends well, and otherwise not at all.

    `place` must not exist. Files are fsynced before the rename.
    """
    temporary = _temporary(place)
    with room_errors(place):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            yield temporary
            for path in sorted(temporary.rglob("*")):
                if path.is_file():
                    fsync_file(path)
                elif path.is_dir():
                    fsync_folder(path)
            fsync_folder(temporary)
            os.rename(temporary, place)
            fsync_folder(place.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def replaced_folder(place: Path) -> Iterator[Path]:
    """Like `new_folder`, but an older folder at `place` gives way at the last moment."""
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    filled = place.with_name(f".{place.name}.{os.getpid()}.new")
    try:
        with new_folder(filled) as folder:
            yield folder
        if place.exists():
            os.rename(place, old)
        os.rename(filled, place)
        fsync_folder(place.parent)
    finally:
        shutil.rmtree(filled, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def point(link: Path, target: str) -> None:
    """Switch the relative symbolic link `link` to `target`, atomically."""
    temporary = _temporary(link)
    with room_errors(link):
        temporary.unlink(missing_ok=True)
        os.symlink(target, temporary)
        os.replace(temporary, link)
        fsync_folder(link.parent)
