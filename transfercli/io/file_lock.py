"""Locks of files: kernel locks, which end with the process that holds them, also on another host.

The file names the time at which its holder got the lock. Spawned processes do not inherit it, because Python opens the
file close-on-exec, and a forked child closes its copy (`os.register_at_fork` below).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.io.atomic import write_errors

_POLL_SECONDS = 0.2
_READ_DELAYS = (0.01, 0.05, 0.2, 0.5)  # seconds: a holder writes its start time a moment after it gets the lock
_OPEN_ATTEMPTS = 100
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def temporary_lock(
    file: Path, work: str, deadline: float, on_wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold an exclusive lock as `held_lock`; its file is removed at the end."""
    with held_lock(file, work, deadline, on_wait):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


@contextmanager
def plain_lock(file: Path) -> Iterator[None]:
    """Hold the exclusive lock of a file that says nothing; wait without an end while another process holds it."""
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def held_lock(
    file: Path, work: str, deadline: float, on_wait: Callable[[], None], *, shared: bool = False
) -> Iterator[int]:
    """Hold the lock of a file, which is created if it is missing, and yield the handle.

    Args:
        work: what its holders do, in words.
        deadline: time of the monotonic clock until which this process waits while another holds the lock.
        on_wait: called about 5 times a second while waiting; may raise to stop.
        shared: hold it together with others that share it.

    Raises `BusyError`, with the start time of the holder, if another process still holds the lock, `UsageError` if the
    file system has no locks.
    """
    handle = _acquire(file, work, deadline, on_wait, shared=shared)
    _held_handles.add(handle)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {os.getpid()}\n".encode(), 0)
        yield handle
    finally:
        _held_handles.discard(handle)
        os.close(handle)


_held_handles: set[int] = set()


def _close_in_child() -> None:
    """Close the lock files in a forked child, which would otherwise keep the lock after its parent ended."""
    for handle in _held_handles:
        os.close(handle)
    _held_handles.clear()


os.register_at_fork(after_in_child=_close_in_child)


def _acquire(file: Path, work: str, deadline: float, on_wait: Callable[[], None], *, shared: bool) -> int:
    """Return the handle of the locked file; try again if the file was removed between opening and locking it."""
    while True:
        handle = _open_lock_file(file)
        try:
            locked = try_lock(handle, shared=shared) or _retry_lock(handle, shared=shared)
            if locked and _is_lock_file(handle, file):
                return handle
            start = "" if locked else _holder_start(handle)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if locked:
            continue
        if not time.monotonic() < deadline:
            raise BusyError(
                f"another process has been {work} since {start}",
                "wait for it, or pass --wait SECONDS",
            )
        on_wait()
        time.sleep(_POLL_SECONDS)


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Return True if this process now has the lock. Raises `UsageError` if the file system has no locks."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UsageError(
            f"the runs folder cannot be locked: {error.strerror}",
            "use --runs with a folder on a file system that supports locks",
        ) from error
    return True


def _retry_lock(handle: int, *, shared: bool) -> bool:
    """Try again while the lock file names no holder: `exclusive_since` elsewhere may have the lock for a moment."""
    for seconds in _READ_DELAYS:
        time.sleep(seconds)
        if try_lock(handle, shared=shared):
            return True
        if _holder_words(handle):
            return False
    return False


def exclusive_since(file: Path) -> int | None:
    """Return the time at which the only holder took a lock, in ns since 1970; None if it is free, or shared.

    The time is that of the file system, so it compares with the times of other files. A file system without locks
    counts as held since ever.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.fstat(handle).st_mtime_ns
    except OSError:
        return 0
    else:
        return None
    finally:
        os.close(handle)


def _holder_start(handle: int) -> str:
    """Return the time at which the holder got the lock, as written in its lock file."""
    words = _holder_words(handle)
    return words[0] if words else "an unknown time"


def _holder_words(handle: int) -> list[str]:
    """Return start time and process id in the lock file; empty if it names no holder."""
    return os.pread(handle, 200, 0).decode("ascii", "replace").split()


def _open_lock_file(file: Path) -> int:
    """Open a lock file for writing. Raises `ArtefactError` if it is a link or not a regular file."""
    for attempts_left in reversed(range(_OPEN_ATTEMPTS)):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            if attempts_left:
                continue  # another process has just removed the empty folder
            with write_errors(file.parent):
                raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                break
            with write_errors(file.parent):
                raise
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return handle
        os.close(handle)
        break
    raise ArtefactError(
        f"{file} is not a regular file, so it cannot be a lock",
        "remove it, or name another folder with --runs",
    )


def _is_lock_file(handle: int, file: Path) -> bool:
    """Return True if the handle's file is still at the path of the lock file."""
    try:
        return os.path.samestat(os.fstat(handle), file.stat())
    except FileNotFoundError:
        return False
