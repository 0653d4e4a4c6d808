"""One writer per experiment: a kernel lock, freed by the kernel whatever becomes of its holder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from transfercli.errors import BusyError
from transfercli.runs.atomic import room_errors
from transfercli.runs.folder import lock_file

_POLL_SECONDS = 0.2


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
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _still_there(handle, experiment):
                return handle
            os.close(handle)
        except BlockingIOError:
            since = os.pread(handle, 200, 0).decode("ascii", "replace").split(" ")[0].strip() or "an unknown time"
            os.close(handle)
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"another process has been working on experiment {experiment.name!r} since {since}",
                    "wait for it, or pass --wait SECONDS",
                ) from None
            waiting()
            time.sleep(_POLL_SECONDS)


def _open(experiment: Path) -> int:
    while True:
        with room_errors(experiment):
            experiment.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(lock_file(experiment), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue  # another start has just tidied the empty folder away


def _still_there(handle: int, experiment: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(lock_file(experiment)))
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
