"""Size and clearing of the local copies of remote objects, also while other processes use them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transfercli.data.cache.maintenance import ClearResult, Usage, usage_errors
from transfercli.data.remote.mirror import TEMPORARY, USERS
from transfercli.io.addresses import COPIES, SCHEMES
from transfercli.io.file_lock import try_lock
from transfercli.io.file_sizes import folder_size


def usage(root: Path) -> Usage:
    """Return the size of all local copies in a cache folder, and the number of files. Raises `UsageError`."""
    with usage_errors(root):
        return Usage(folder_size(root / COPIES), sum(1 for _ in _copies(root / COPIES)))


def clear(root: Path) -> ClearResult:
    """Delete all local copies, or none while a running process reads remote data. Raises `UsageError` if it fails."""
    folder = root / COPIES
    with usage_errors(root):
        size = folder_size(folder)
        if not folder.is_dir() or folder.is_symlink():
            return ClearResult()
        with _unused(folder) as unused:
            if not unused:
                return ClearResult(in_use=size)
            for entry in os.scandir(folder):
                if entry.name in SCHEMES and entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                elif entry.name.startswith("objects.sqlite"):
                    Path(entry.path).unlink(missing_ok=True)
        return ClearResult(max(0, size - folder_size(folder)))


@contextmanager
def _unused(folder: Path) -> Iterator[bool]:
    """Yield True if no process has the copies open; none opens them while the block runs."""
    handle = os.open(folder / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield try_lock(handle)
    finally:
        os.close(handle)


def _copies(folder: Path) -> Iterator[str]:
    """Yield the files that hold the content of an object, or a part of it."""
    for scheme in SCHEMES:
        for parent, _, names in os.walk(folder / scheme):
            for name in names:
                path = f"{parent}/{name}"
                if not name.endswith(TEMPORARY) and os.path.getsize(path):  # noqa: PTH202 - may be many files
                    yield path
