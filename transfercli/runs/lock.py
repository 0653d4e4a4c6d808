"""Locks of an experiment: kernel locks, which end with the process that holds them, also on another host.

Most commands are the only writer of their experiment. Sweeps share it: each of their runs has a lock of its own, and
the files that runs share are written under a third one, which is held for a moment.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from transfercli.io.file_lock import exclusive_since, held_lock, temporary_lock, try_lock
from transfercli.runs.folder import RunFolder, lock_file, run_lock_file, shared_files_lock_file


@contextmanager
def experiment_lock(
    experiment: Path, wait: float = 0.0, on_wait: Callable[[], None] = lambda: None, *, shared: bool = False
) -> Iterator[None]:
    """Hold the lock of an experiment's folder, which is created if it is missing.

    A folder with nothing but the lock file is removed at the end.

    Args:
        experiment: the experiment's folder.
        wait: seconds to wait at most while another process holds the lock.
        on_wait: called about 5 times a second while waiting.
        shared: hold it together with others that share it; each run then needs its `run_lock`.

    Raises `BusyError`, with the start time of the holder, if another process still holds the lock.
    """
    file, deadline = lock_file(experiment), time.monotonic() + wait
    with held_lock(file, f"working on experiment {experiment.name!r}", deadline, on_wait, shared=shared) as handle:
        try:
            yield
        finally:
            if not shared or try_lock(handle):  # the last holder of a shared lock
                _remove_if_empty(experiment)
                os.ftruncate(handle, 0)  # so that nobody takes this start time for that of the next holder


@contextmanager
def run_lock(run: RunFolder) -> Iterator[None]:
    """Hold the lock of one run, whose experiment is shared. Raises `BusyError` if another process has it."""
    with temporary_lock(run_lock_file(run), f"training {run.label}", time.monotonic()):
        yield


@contextmanager
def shared_files_lock(experiment: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of the files that the runs of an experiment share; wait for it, as each holder has it for a moment.

    on_wait: called about 5 times a second while waiting; may raise to stop.
    """
    file = shared_files_lock_file(experiment)
    with temporary_lock(file, f"writing files of experiment {experiment.name!r}", math.inf, on_wait):
        yield


def held_since(experiment: Path) -> int | None:
    """Return the time at which the only holder took the experiment's lock, as `exclusive_since`."""
    return exclusive_since(lock_file(experiment))


def run_held_since(run: RunFolder) -> int | None:
    """Return the time at which a process took the lock of one run, as `exclusive_since`."""
    return exclusive_since(run_lock_file(run))


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
