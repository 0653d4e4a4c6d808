"""Locks of an experiment: kernel locks, which end with the process that holds them, also on another host.

Most commands are the only writer of their experiment. Sweeps share it: each of their runs has a lock of its own, and
the files that runs share are written under a third one, which is held for a moment.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from transfercli.errors import ArtefactError, BusyError, UsageError
from transfercli.io.atomic import write_errors
from transfercli.runs.folder import RunFolder, lock_file, run_lock_file, shared_files_lock_file

_POLL_SECONDS = 0.2
_READ_DELAYS = (0.01, 0.05, 0.2, 0.5)  # seconds: a holder writes its start time a moment after it gets the lock
_OPEN_ATTEMPTS = 100
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def experiment_lock(
    experiment: Path, wait: float = 0.0, on_wait: Callable[[], None] = lambda: None, *, shared: bool = False
) -> Iterator[None]:
    """Hold the lock of an experiment's folder, which is created if it is missing.

    Spawned workers do not inherit the lock, because Python opens the file close-on-exec, and a forked child closes its
    copy (`os.register_at_fork` below). A folder with nothing but the lock file is removed at the end.

    Args:
        experiment: the experiment's folder.
        wait: seconds to wait at most while another process holds the lock.
        on_wait: called about 5 times a second while waiting.
        shared: hold it together with others that share it; each run then needs its `run_lock`.

    Raises `BusyError`, with the start time of the holder, if another process still holds the lock.
    """
    file, deadline = lock_file(experiment), time.monotonic() + wait
    with _held(file, f"working on experiment {experiment.name!r}", deadline, on_wait, shared=shared) as handle:
        try:
            yield
        finally:
            if not shared or _try_lock(handle):  # the last holder of a shared lock
                _remove_if_empty(experiment)
                os.ftruncate(handle, 0)  # so that nobody takes this start time for that of the next holder


@contextmanager
def run_lock(run: RunFolder) -> Iterator[None]:
    """Hold the lock of one run; its experiment is locked with `shared`. Raises `BusyError` if another process has it."""
    with _removed_lock(run_lock_file(run), f"training {run.label}", time.monotonic()):
        yield


@contextmanager
def shared_files_lock(experiment: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of the files that the runs of an experiment share; wait for it, as each holder has it for a moment.

    on_wait: called about 5 times a second while waiting; may raise to stop.
    """
    file = shared_files_lock_file(experiment)
    with _removed_lock(file, f"writing files of experiment {experiment.name!r}", math.inf, on_wait):
        yield


@contextmanager
def _removed_lock(
    file: Path, work: str, deadline: float, on_wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold an exclusive lock whose file is removed at the end."""
    with _held(file, work, deadline, on_wait):
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


@contextmanager
def _held(
    file: Path, work: str, deadline: float, on_wait: Callable[[], None], *, shared: bool = False
) -> Iterator[int]:
    """Hold the lock of a file, with the start time in it, and yield the handle. work: what its holders do, in words."""
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
            locked = _try_lock(handle, shared=shared) or _retry_lock(handle, shared=shared)
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


def _try_lock(handle: int, *, shared: bool = False) -> bool:
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
    """Try again while the lock file names no holder: `held_since` of other processes may have the lock for a moment."""
    for seconds in _READ_DELAYS:
        time.sleep(seconds)
        if _try_lock(handle, shared=shared):
            return True
        if _holder_words(handle):
            return False
    return False


def held_since(experiment: Path) -> int | None:
    """Return the time at which the only holder took the experiment's lock; None if the lock is free, or shared.

    In ns since 1970. The time is that of the file system, so it compares with the times of files in the experiment. A
    file system without locks counts as held since ever.
    """
    return _exclusive_since(lock_file(experiment))


def run_held_since(run: RunFolder) -> int | None:
    """Return the time at which a process took the lock of one run, as `held_since`; None if it is free."""
    return _exclusive_since(run_lock_file(run))


def _exclusive_since(file: Path) -> int | None:
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
