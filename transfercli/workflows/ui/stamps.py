"""Stamps of files: they differ as soon as a file was replaced or written to."""

from __future__ import annotations

from pathlib import Path

Stamp = tuple[int, int, int]  # inode, bytes, time of change


def stamp_of(path: Path, *, follow: bool = False) -> Stamp | None:
    """Return the stamp of a file; None if there is none. follow: True for that of the file that a link leads to."""
    try:
        info = path.stat() if follow else path.lstat()
    except (OSError, ValueError):  # no such file, or an impossible name
        return None
    return info.st_ino, info.st_size, info.st_mtime_ns
