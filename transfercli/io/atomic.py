"""Writes that are either whole or absent, and survive a power cut.

The order is always: write beside the place, fsync the file, rename, fsync the folder. A full or failing disk
(`FAILED_WRITE`) becomes `DiskError`; what stood at the place before still stands.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from transfercli.errors import FAILED_WRITE, ArtefactError, DiskError, UsageError

_NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG}


@contextmanager
def room_errors(path: Path) -> Iterator[None]:
    """While writing at `path`: 'no space left' and its kin become `DiskError`, a place that cannot be `UsageError`."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise ArtefactError(f"cannot write {path}: a folder stands in its place", "move the folder away") from error
        if error.errno in _NO_PLACE:
            raise UsageError(
                f"cannot write {path}: {error.strerror}", "name another place, or make it writable"
            ) from error
        if error.errno not in FAILED_WRITE:
            raise
        raise DiskError(
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


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each of them durable in the one above."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with room_errors(folder):
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)


def write_all(file: IO[bytes], content: bytes | memoryview) -> None:
    """Write all of `content` to an unbuffered file: one write may take a part, as before a disk is full."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _temporary(path: Path, kind: str = "tmp") -> Path:
    """A name beside `path` that no other thread or process uses; what a kill leaves of it is swept."""
    return path.with_name(f".{path.name}.{threading.get_native_id()}.{kind}")


_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def sweep(folder: Path) -> None:
    """Remove what killed writers left in `folder`. Only for who holds the lock: nobody else may be writing there."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if not _TEMPORARY.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place."""
    temporary = _temporary(path)
    with room_errors(path):
        try:
            write(temporary)
            fsync_file(temporary)
            temporary.replace(path)
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


def append_line(path: Path, line: str, *, durable: bool = True) -> None:
    """One line at the end of a log of lines, or none of it.

    A line before it that a kill cut short is ended first, so that the two do not become one. durable: it survives a
    power cut.
    """
    with room_errors(path), path.open("a+b", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            write_all(file, b"\n" * _is_torn(file, end) + line.encode("utf-8", "backslashreplace") + b"\n")
            if durable:
                os.fsync(file.fileno())
                if end == 0:
                    fsync_folder(path.parent)
        except OSError:
            with suppress(OSError):
                file.truncate(end)
            raise


def _is_torn(file: IO[bytes], end: int) -> bool:
    if end == 0:
        return False
    file.seek(end - 1)
    return file.read(1) != b"\n"


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A folder that appears at `place` whole, when the block ends well, and otherwise not at all.

    `place` must not exist. Files are fsynced before the rename.
    """
    temporary = _temporary(place)
    with room_errors(place):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            make_folder(temporary)
            yield temporary
            for path in sorted(temporary.rglob("*")):
                if path.is_file():
                    fsync_file(path)
                elif path.is_dir():
                    fsync_folder(path)
            fsync_folder(temporary)
            temporary.rename(place)
            fsync_folder(place.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def replaced_folder(place: Path) -> Iterator[Path]:
    """Like `new_folder`, but an older folder at `place` gives way at the last moment."""
    old, filled = _temporary(place, "old"), _temporary(place, "new")
    try:
        with new_folder(filled) as folder:
            yield folder
        if place.exists():
            place.rename(old)
        filled.rename(place)
        fsync_folder(place.parent)
    finally:
        shutil.rmtree(filled, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def point(link: Path, target: str) -> None:
    """Switch the relative symbolic link `link` to `target`, atomically."""
    temporary = _temporary(link)
    with room_errors(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
        fsync_folder(link.parent)
