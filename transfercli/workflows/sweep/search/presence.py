"""Presence of the processes that work on a sweep: which of them still run.

Each holds the kernel lock of a file in the sweep's folder, which ends with the process. A process of another host that
does not share this folder is known by the time at which it last wrote to the storage.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from transfercli.io import atomic
from transfercli.io.file_lock import plain_lock

SILENCE = 180.0  # seconds without a sign of life after which a process on another host counts as gone
BEAT = 30.0  # seconds between two signs of life


@dataclass(frozen=True)
class Presence:
    """This process among those that work on a sweep. token: its name in the storage, which says nothing else."""

    folder: Path
    token: str

    def is_gone(self, token: str, seen: float | None) -> bool:
        """Return True if the process with a token runs no more. seen: its last sign of life, seconds since 1970."""
        if not token:
            return True
        if token == self.token:
            return False
        try:
            handle = os.open(self.folder / f"{token}.lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return seen is None or time.time() - seen > SILENCE
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(handle)
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold a lock for a moment, so that two processes do not take up the same trial."""
        with plain_lock(self.folder / "taking.lock"):
            yield

    def forget_the_gone(self) -> None:
        """Remove the files of processes that ended; no trial may be unfinished."""
        for file in self.folder.glob("*.lock"):
            if file.stem != "taking" and self.is_gone(file.stem, None):
                file.unlink(missing_ok=True)


@contextmanager
def present(sweep: Path) -> Iterator[Presence]:
    """Be present among the processes of a sweep while the block runs; sweep: its folder.

    After an error the file stays: it shows that the trials of this process have no owner any more.
    """
    folder, token = sweep / "processes", secrets.token_hex(8)
    atomic.make_folder(folder)
    file = folder / f"{token}.lock"
    with plain_lock(file):
        yield Presence(folder, token)
        file.unlink(missing_ok=True)
