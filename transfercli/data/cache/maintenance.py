"""What the caches hold, and how to empty them while others may be using them."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.cache.index import INDEX, Index
from transfercli.data.cache.segments import segment_files, segment_path
from transfercli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Usage:
    """bytes: of all files; entries: rows that are there."""

    bytes: int = 0
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Cleared:
    """Bytes that are gone, and bytes of the files that stayed because a running process uses them."""

    freed: int = 0
    in_use: int = 0


def usage(root: Path, kind: str) -> Usage:
    """What the cache folder `root` holds of one of `KINDS`; nothing is made where there is none."""
    with _said(root):
        held = _size(root / kind)
        if not (root / INDEX).exists():
            return Usage(held)
        index = Index(root)
        try:
            return Usage(held, index.count(kind))
        finally:
            index.close()


def clear(root: Path) -> Cleared:
    """Remove all rows that no running process fills or maps, and what is known of files; raises UsageError.

    A process that loses rows which it had only looked up makes them again.
    """
    with _said(root):
        if not (root / INDEX).exists() and not segment_files(root):
            return Cleared()
        before, index = _size(root), Index(root)
        try:
            known = {name for name, _, _ in index.segments()}
            in_use = 0
            for path in segment_files(root):
                if path.is_symlink():
                    continue
                size = path.stat().st_size
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
        return Cleared(max(0, before - _size(root)), in_use)


@contextmanager
def _unused(path: Path) -> Iterator[bool]:
    """Whether no other process holds the file; while the block lasts, none can start to."""
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
def _said(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(
            f"the cache folder {str(folder)!r} cannot be used: {reason}", "check whose folder it is"
        ) from error


def _size(folder: Path) -> int:
    """Bytes of all files below, links not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total
