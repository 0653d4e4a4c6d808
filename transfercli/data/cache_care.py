"""What the image cache holds, and how to empty it while others may be using it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from transfercli.data.cache_index import Index
from transfercli.errors import UsageError


@dataclass(frozen=True, slots=True)
class Usage:
    """entries: images whose pixels are kept; bytes: of all files, the index included."""

    bytes: int = 0
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Cleared:
    """Bytes that are gone, and bytes of the files that stayed because a running process uses them."""

    freed: int = 0
    in_use: int = 0


def image_usage(root: Path) -> Usage:
    """What the image cache in the cache folder `root` holds; nothing is made where there is none."""
    folder = root / "images"
    with _said(folder):
        if not (folder / "index.sqlite").exists():
            return Usage(_size(folder))
        index = Index(folder)
        try:
            return Usage(_size(folder), index.count())
        finally:
            index.close()


def clear_images(root: Path) -> Cleared:
    """Remove all pixels that no running process fills or maps, and what is known of files; raises UsageError.

    A process that loses pixels which it had only looked up reads their files again.
    """
    folder = root / "images"
    with _said(folder):
        if not folder.is_dir():
            return Cleared()
        before, index = _size(folder), Index(folder)
        try:
            known = {name for name, _, _ in index.segments()}
            in_use = 0
            for path in sorted(folder.glob("*/*")):
                if path.suffix not in {".pixels", ".tmp"} or path.is_symlink():
                    continue
                size = path.stat().st_size
                with _unused(path) as unused:
                    if not unused:
                        in_use += size
                        continue
                    if path.stem in known:
                        index.forget(path.stem)
                    path.unlink(missing_ok=True)
            for name, geometry, _ in index.segments():
                if not (folder / geometry / f"{name}.pixels").exists():
                    index.forget(name)
            index.forget_orphans()
        finally:
            index.close()
        return Cleared(max(0, before - _size(folder)), in_use)


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
