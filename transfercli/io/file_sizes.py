"""Sizes of the files below a folder that other processes may be writing to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def regular_files(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield path and bytes of each regular file below a folder, sorted by path; links are not followed.

    Files and folders that are removed meanwhile, such as temporary files, are left out.
    """
    for path in sorted(Path(parent) / name for parent, _, names in os.walk(folder) for name in names):
        try:
            info = path.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(info.st_mode):
            yield path, info.st_size


def folder_size(folder: Path) -> int:
    """Return the bytes of all regular files below a folder."""
    return sum(size for _, size in regular_files(folder))
