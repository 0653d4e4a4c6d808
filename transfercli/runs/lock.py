"""One writer per experiment: a kernel lock, freed by the kernel whatever becomes of its holder."""

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
_LOOK_AGAIN = (0.01, 0.05, 0.2, 0.5)  # seconds: a holder writes its start a moment after it has the lock
_TRIES = 100
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextmanager
def experiment_lock(experiment: Path, wait: float = 0.0, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of the experiment's folder; wait at most `wait` seconds for it, calling `waiting` meanwhile.

    Raises `BusyError` naming since when another process holds it. Python opens the file close-on-exec, so spawned
    workers do not inherit the lock, and a forked child closes its copy (`os.register_at_fork` below). An experiment
    that got nothing but its lock, because the data was refused, leaves no folder behind.
    """
    deadline = time.monotonic() + wait
    handle = _acquire(experiment, deadline, waiting)
    _held.add(handle)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(handle, 0)  # the next holder's start is not this one's
    finally:
        _remove_if_empty(experiment)
        _held.discard(handle)
        os.close(handle)


_held: set[int] = set()


def _drop_in_child() -> None:
    """A forked worker must not keep its parent's lock alive."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_drop_in_child)


def _acquire(experiment: Path, deadline: float, waiting: Callable[[], None]) -> int:
    """The locked file; one that was removed between opening and locking it is another's past, so try again."""
    while True:
        handle = _open(experiment)
        try:
            taken = _take(handle)
            if taken and _still_there(handle, experiment):
                return handle
            since = "" if taken else _since(handle)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if taken:
            continue
        if not time.monotonic() < deadline:
            raise BusyError(
                f"another process has been working on experiment {experiment.name!r} since {since}",
                "wait for it, or pass --wait SECONDS",
            )
        waiting()
        time.sleep(_POLL_SECONDS)


def _take(handle: int) -> bool:
    """Whether the lock is this process's now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UsageError(
            f"the runs folder cannot be locked: {error.strerror}",
            "name a folder on a file system that has locks with --runs",
        ) from error
    return True


def _since(handle: int) -> str:
    """When the holder started, as its lock file says."""
    for seconds in _LOOK_AGAIN:
        time.sleep(seconds)
        said = os.pread(handle, 200, 0).decode("ascii", "replace").split()
        if said:
            return said[0]
    return "an unknown time"


def _open(experiment: Path) -> int:
    """The experiment's lock file, open for writing: a regular file, and no link that would let it be another."""
    for tries_left in reversed(range(_TRIES)):
        try:
            experiment.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock_file(experiment), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            if tries_left:
                continue  # another start has just tidied the empty folder away
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
        f"{lock_file(experiment)} is no regular file, so it cannot be this experiment's lock",
        "remove it, or name another folder with --runs",
    )


def _still_there(handle: int, experiment: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), lock_file(experiment).stat())
    except FileNotFoundError:
        return False


def _remove_if_empty(experiment: Path) -> None:
    """While the lock is held: if the folder holds nothing else, remove it, and the runs folder if that is empty too."""
    if [path.name for path in experiment.iterdir()] != [lock_file(experiment).name]:
        return
    lock_file(experiment).unlink()
    for folder in (experiment, experiment.parent):
        try:
            folder.rmdir()
        except OSError:
            return
