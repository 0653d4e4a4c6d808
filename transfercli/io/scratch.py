"""Temporary folders that also end with a process that was killed: the next one to make such a folder removes them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_UNLOCKED = "new-"  # before the prefix of a folder that nobody may remove yet


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Make a temporary folder, which is removed at the end, and yield its path.

    Folders of the same prefix and user whose process ended without removing them are removed first.
    """
    remove_abandoned(prefix)
    made = Path(tempfile.mkdtemp(prefix=f"{_UNLOCKED}{prefix}"))
    folder = made.with_name(made.name.removeprefix(_UNLOCKED))
    handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        made.rename(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def remove_abandoned(prefix: str) -> None:
    """Remove the folders of `scratch_folder` that no process holds any more."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):  # of another user, held, or removed by another process
            _remove_unheld(folder)


def _remove_unheld(folder: Path) -> None:
    """Remove a folder of this user. Raises `OSError` if a process holds it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_uid == os.getuid():
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
    finally:
        os.close(handle)
