"""Size and clearing of the caches, also while other processes use them."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.cache.index import INDEX, Index
from transfercli.data.cache.segments import segment_files, segment_path
from transfercli.errors import UsageError
from transfercli.io.file_sizes import folder_size


@dataclass(frozen=True, slots=True)
class Usage:
    """Size of a cache: bytes of all its files, and number of rows."""

    bytes: int = 0
    entries: int = 0


@dataclass(frozen=True, slots=True)
class ClearResult:
    """Bytes freed, and bytes of files that stayed because a running process uses them."""

    freed: int = 0
    in_use: int = 0


def usage(root: Path, kind: str) -> Usage:
    """Return the size of one kind of cache (`KINDS`) below `root`; create nothing. Raises `UsageError` if it fails."""
    with usage_errors(root):
        size = folder_size(root / kind)
        if not (root / INDEX).exists():
            return Usage(size)
        index = Index(root)
        try:
            return Usage(size, index.count(kind))
        finally:
            index.close()


def clear(root: Path) -> ClearResult:
    """Delete all rows that no running process writes or maps, and all file entries.

    A process that only looked up a deleted row creates it again. Raises `UsageError` if the folder cannot be used.
    """
    with usage_errors(root):
        if not (root / INDEX).exists() and not segment_files(root):
            return ClearResult()
        before, index = folder_size(root), Index(root)
        try:
            known = {name for name, _, _ in index.segments()}
            in_use = 0
            for path in segment_files(root):
                if path.is_symlink():
                    continue
                try:
                    size = path.stat().st_size
                except FileNotFoundError:  # another process evicted it; its rows are forgotten below
                    continue
                with _unused(path) as unused:
                    if not unused:
                        in_use += size
                        continue
                    if path.stem in known:
                        index.forget(path.stem)
                    path.unlink(missing_ok=True)
            for name, space, _ in index.segments():
                if not segment_path(root, space, name).exists():
                    index.forget(name)
            index.forget_orphans()
        finally:
            index.close()
        return ClearResult(max(0, before - folder_size(root)), in_use)


@contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Yield True if no other process uses the file; none can start to while the block runs."""
    try:
        with path.open("r+b") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
    except FileNotFoundError:
        yield True


@contextmanager
def usage_errors(folder: Path) -> Iterator[None]:
    """Turn file and database errors of the block into `UsageError`."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"the cache folder {str(folder)!r} cannot be used: {reason}",
            "check the owner and the permissions of the folder",
        ) from error
