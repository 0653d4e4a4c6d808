"""Atomic and durable writes: a file is either complete or absent, also after a power cut.

Order of each write: write a temporary file in the same folder, fsync it, rename it, fsync the folder. A full or failing
disk (`WRITE_ERRNOS`) raises `DiskError`, and the earlier content of the path stays.
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

from transfercli.errors import WRITE_ERRNOS, ArtefactError, DiskError, UsageError

_UNWRITABLE_ERRNOS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOENT,
    errno.ENAMETOOLONG,
}


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError raised while writing `path` into an expected error.

    Raises `DiskError` if the disk is full or failing, `UsageError` if the path cannot be written to, and
    `ArtefactError` if a folder is in the way.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.EISDIR:
            raise ArtefactError(f"cannot write {path}: it is a folder", "move or remove the folder") from error
        if error.errno in _UNWRITABLE_ERRNOS:
            raise UsageError(
                f"cannot write {path}: {error.strerror}", "name another path, or make this one writable"
            ) from error
        if error.errno not in WRITE_ERRNOS:
            raise
        raise DiskError(
            f"cannot write {path.name}: {error.strerror}; files written before it are complete",
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
    """Make the content of a file durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, each durably. Raises `DiskError` or `UsageError` if that fails."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with write_errors(folder):
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)


def write_all(file: IO[bytes], content: bytes | memoryview) -> None:
    """Write all of `content` to an unbuffered file; a single `write` may write a part of it only."""
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[file.write(remaining) :]


def _temporary(path: Path, kind: str = "tmp") -> Path:
    """Return a path in the same folder that no other thread uses; `remove_temporaries` finds it after a kill."""
    return path.with_name(f".{path.name}.{threading.get_native_id()}.{kind}")


_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def remove_temporaries(folder: Path) -> None:
    """Remove temporary files that killed writers left in `folder`.

    Call it only while holding the lock, so that no other process is writing there.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if not _TEMPORARY.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file to fill; rename it to `path` if the block succeeds, remove it otherwise."""
    temporary = _temporary(path)
    with write_errors(path):
        try:
            yield temporary
            fsync_file(temporary)
            temporary.replace(path)
            fsync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with the path of a temporary file, then rename that file to `path`."""
    with new_file(path) as temporary:
        write(temporary)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_with(path, write)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8; lone surrogates (file names that are not UTF-8) are written back as their bytes."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON. Raises `ValueError` for NaN and infinity, which other JSON readers refuse."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path, line: str, *, durable: bool = True) -> None:
    """Append one line to a file of lines: all of it, or nothing if the write fails.

    A last line that a kill cut short is ended first, so that the two do not become one.

    durable: fsync, so that the line survives a power cut.
    """
    with write_errors(path), path.open("a+b", buffering=0) as file:
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
    """Return True if the last line of a file of `end` bytes has no line end."""
    if end == 0:
        return False
    file.seek(end - 1)
    return file.read(1) != b"\n"


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; rename it to `target` if the block succeeds, remove it otherwise.

    `target` must not exist. All files are fsynced before the rename.
    """
    temporary = _temporary(target)
    with write_errors(target):
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            make_folder(temporary)
            yield temporary
            for path in sorted(temporary.rglob("*")):
                if path.is_symlink():
                    continue
                if path.is_file():
                    fsync_file(path)
                elif path.is_dir():
                    fsync_folder(path)
            fsync_folder(temporary)
            temporary.rename(target)
            fsync_folder(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder like `new_folder`; at the end it replaces an existing folder `target`."""
    old, filled = _temporary(target, "old"), _temporary(target, "new")
    try:
        with new_folder(filled) as folder:
            yield folder
        if target.exists():
            target.rename(old)
        filled.rename(target)
        fsync_folder(target.parent)
    finally:
        shutil.rmtree(filled, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder of which no reader finds a part: it is hidden first, under a temporary name."""
    hidden = _temporary(folder)
    with write_errors(folder):
        folder.rename(hidden)
        fsync_folder(folder.parent)
    shutil.rmtree(hidden, ignore_errors=True)


def replace_symlink(link: Path, target: str) -> None:
    """Point the symbolic link `link` at the relative path `target`, atomically."""
    temporary = _temporary(link)
    with write_errors(link):
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(link)
        fsync_folder(link.parent)
