"""Experiment lock: one writer per experiment, by a kernel lock that ends with the process that holds it."""

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
from transfercli.runs.folder import lock_file

_POLL_SECONDS = 0.2
_READ_DELAYS = (0.01, 0.05, 0.2, 0.5)  # seconds: a holder writes its start time a moment after it gets the lock
_OPEN_ATTEMPTS = 100
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def experiment_lock(experiment: Path, wait: float = 0.0, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of an experiment's folder, which is created if it is missing.

    Spawned workers do not inherit the lock, because Python opens the file close-on-exec, and a forked child closes its
    copy (`os.register_at_fork` below). A folder with nothing but the lock file is removed at the end.

    Args:
        experiment: the experiment's folder.
        wait: seconds to wait at most while another process holds the lock.
        on_wait: called about 5 times a second while waiting.

    Raises `BusyError`, with the start time of the holder, if another process still holds the lock.
    """
    deadline = time.monotonic() + wait
    handle = _acquire(experiment, deadline, on_wait)
    _held_handles.add(handle)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(handle, 0)  # so that nobody takes this start time for that of the next holder
    finally:
        _remove_if_empty(experiment)
        _held_handles.discard(handle)
        os.close(handle)


_held_handles: set[int] = set()


def _close_in_child() -> None:
    """Close the lock files in a forked child, which would otherwise keep the lock after its parent ended."""
    for handle in _held_handles:
        os.close(handle)
    _held_handles.clear()


os.register_at_fork(after_in_child=_close_in_child)


def _acquire(experiment: Path, deadline: float, on_wait: Callable[[], None]) -> int:
    """Return the handle of the locked file; try again if the file was removed between opening and locking it."""
    while True:
        handle = _open_lock_file(experiment)
        try:
            locked = _try_lock(handle) or _retry_lock(handle)
            if locked and _is_lock_file(handle, experiment):
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
                f"another process has been working on experiment {experiment.name!r} since {start}",
                "wait for it, or pass --wait SECONDS",
            )
        on_wait()
        time.sleep(_POLL_SECONDS)


def _try_lock(handle: int) -> bool:
    """Return True if this process now has the lock. Raises `UsageError` if the file system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def _retry_lock(handle: int) -> bool:
    """Try again while the lock file names no holder: `held_since` of other processes may have the lock for a moment."""
    for seconds in _READ_DELAYS:
        time.sleep(seconds)
        if _try_lock(handle):
            return True
        if _holder_words(handle):
            return False
    return False


def held_since(experiment: Path) -> int | None:
    """Return the time at which the holder took the experiment's lock, in ns since 1970; None if the lock is free.

    The time is that of the file system, so it compares with the times of files in the experiment. A file system without
    locks counts as held since ever.
    """
    try:
        handle = os.open(lock_file(experiment), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
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


def _open_lock_file(experiment: Path) -> int:
    """Open the experiment's lock file for writing. Raises `ArtefactError` if it is a link or not a regular file."""
    for attempts_left in reversed(range(_OPEN_ATTEMPTS)):
        try:
            experiment.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock_file(experiment), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            if attempts_left:
                continue  # another process has just removed the empty folder
            with write_errors(experiment):
                raise
        except OSError as error:
            if error.errno == errno.ELOOP:
                break
            with write_errors(experiment):
                raise
        if stat.S_ISREG(os.fstat(handle).st_mode):
            return handle
        os.close(handle)
        break
    raise ArtefactError(
        f"{lock_file(experiment)} is not a regular file, so it cannot be this experiment's lock",
        "remove it, or name another folder with --runs",
    )


def _is_lock_file(handle: int, experiment: Path) -> bool:
    """Return True if the handle's file is still at the path of the lock file."""
    try:
        return os.path.samestat(os.fstat(handle), lock_file(experiment).stat())
    except FileNotFoundError:
        return False


def _remove_if_empty(experiment: Path) -> None:
    """Remove the folder if only the lock file is in it, and then an empty runs folder; the lock must be held."""
    if [path.name for path in experiment.iterdir()] != [lock_file(experiment).name]:
        return
    lock_file(experiment).unlink()
    for folder in (experiment, experiment.parent):
        try:
            folder.rmdir()
        except OSError:
            return
