"""Fetching of one object into its local copy; a large object that was cut off goes on at the byte it came to."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from transfercli.data.remote.mirror import TEMPORARY, Mirror
from transfercli.data.remote.retries import PAUSES
from transfercli.data.remote.store import PART_BYTES, RemoteError, RemoteFile, Store
from transfercli.io.addresses import without_secrets
from transfercli.io.atomic import write_errors
from transfercli.text import byte_size


def fetch(mirror: Mirror, store: Store, address: str, known: RemoteFile, file: str, stop: threading.Event) -> int:
    """Fetch an object into its copy `file`, and return its size in bytes.

    An object that changes meanwhile is fetched once more. Raises `RemoteError`.

    Args:
        known: size and version as listed.
        stop: ends the transfer after the part that is under way.
    """
    for last in (False, True):
        size = _fetch_version(mirror, store, address, known, file, stop)
        if size is not None:
            return size
        if not last:
            known = store.file_at(address)
            mirror.record(None, [known])
    raise RemoteError(
        f"{without_secrets(address)}: changes while it is read", "try again once nothing writes it any more"
    )


def _fetch_version(
    mirror: Mirror, store: Store, address: str, known: RemoteFile, file: str, stop: threading.Event
) -> int | None:
    """Fetch one version of an object; return None if the server has another one by now."""
    if 0 <= known.size <= PART_BYTES:
        content = bytearray()
        _transfer(store, address, known.size, 0, content.extend, stop)
        if len(content) != known.size:
            return None
        with mirror.writing(file) as temporary:
            temporary.write_bytes(content)
        return len(content)
    return _fetch_large(mirror, store, address, known, file, stop)


def _fetch_large(
    mirror: Mirror, store: Store, address: str, known: RemoteFile, file: str, stop: threading.Event
) -> int | None:
    """Append to a temporary file of this version, which an earlier start may have left; other processes wait."""
    path = Path(file)
    version = hashlib.sha256(f"{path.name}:{known.size}:{known.version}".encode()).hexdigest()[:32]
    temporary = path.with_name(f".{version}{TEMPORARY}")
    with write_errors(path.parent), temporary.open("ab") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        if not _is_at(opened.fileno(), temporary):  # another process has finished it
            return path.stat().st_size
        if not known.version:  # nothing says that the server still has the same content
            opened.truncate(0)
        take = opened.write if known.size >= 0 else _bounded(opened, mirror.free(), address)
        _transfer(store, address, known.size, opened.seek(0, os.SEEK_END), take, stop)
        opened.flush()
        size, now = opened.tell(), store.file_at(address)
        if (now.size, now.version) != (known.size, known.version) or known.size not in (-1, size):
            temporary.unlink()
            return None
        temporary.replace(path)
        return size


def _bounded(opened: BinaryIO, most: int, address: str) -> Callable[[bytes], object]:
    """Return the writing of a file of at most `most` bytes, which raises `RemoteError` before it has more."""

    def write(part: bytes) -> None:
        if opened.tell() + len(part) > most:
            raise RemoteError(
                f"{without_secrets(address)}: has more than {byte_size(most)}, the most that copies may take here",
                "free disk space, or set compute.cache_dir to a folder on a larger disk",
            )
        opened.write(part)

    return write


def _transfer(
    store: Store, address: str, size: int, start: int, take: Callable[[bytes], object], stop: threading.Event
) -> None:
    """Hand the bytes from `start` on to `take`; go on after failures that may pass, as long as bytes arrive.

    Raises `RemoteError`, also if `stop` is set before all are there; those that are stay.
    """
    failures = 0
    while start != size:
        try:
            for part in store.read(address, start, size):
                take(part)
                start, failures = start + len(part), 0
                if stop.is_set() and start != size:
                    raise RemoteError(f"{without_secrets(address)}: the transfer was stopped", "start it again")
            return
        except RemoteError as error:
            if not error.may_pass or failures == len(PAUSES) or stop.wait(PAUSES[failures]):
                raise
            failures += 1


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
