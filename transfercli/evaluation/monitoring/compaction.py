"""Compaction of an answer log: the files of one day become one, and those of a past month, too.

So a log stays small whatever the number of processes: a file of at most about `reservoir.MAX_BYTES` for each of the
last `DAYS` days, and for each month before them. The counts of each day are kept as they are.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from transfercli.errors import UsageError
from transfercli.evaluation.monitoring.kept_images import FOLDER
from transfercli.evaluation.monitoring.log_files import SUFFIX, LogFile, write_log_file
from transfercli.evaluation.monitoring.log_folder import log_files, read_files
from transfercli.evaluation.monitoring.model_facts import ModelFacts
from transfercli.evaluation.monitoring.reservoir import rows_that_fit
from transfercli.evaluation.monitoring.sketch import merged
from transfercli.io.file_lock import try_lock

DAYS = 35  # whose samples stay apart, so that a recent week or month can be looked at
SETTLED = 2  # days: a process may still write the file of yesterday
ABANDONED = 3600  # seconds: a temporary file as old as this is of a process that was killed
LOCK = ".lock"


def new_name(period: str) -> str:
    """Return the name of a new file of a day or month that no other process uses."""
    return f"{period}.{secrets.token_hex(8)}{SUFFIX}"


def compact(folder: Path, facts: ModelFacts, today: date) -> None:
    """Merge the files of a model's past days; do nothing while another process does.

    Raises `ArtefactError` if one is damaged, `DiskError` or `UsageError` if the folder cannot be written.
    """
    with _only_process(folder) as alone:
        if not alone:
            return
        _remove_abandoned(folder)
        files = read_files(folder, facts)
        for path in log_files(folder):
            if path.name not in files:  # held by another, whose writer was killed before it removed this one
                path.unlink(missing_ok=True)
        for period, names in _periods(files, today).items():
            if len(names) > 1 or not names[0].startswith(f"{period}."):
                _merge(folder, facts, period, {name: files[name] for name in names})


def _merge(folder: Path, facts: ModelFacts, period: str, files: dict[str, LogFile]) -> None:
    days, sample = merged(files.values(), len(facts.labels))
    holds = sorted({*files, *(name for file in files.values() for name in file.holds)})
    rows = rows_that_fit(sample.features.shape[1], len(facts.labels))
    write_log_file(folder / new_name(period), LogFile(facts.key, days, sample.smallest(rows), tuple(holds)))
    for name in files:
        (folder / name).unlink(missing_ok=True)


def _periods(files: dict[str, LogFile], today: date) -> dict[str, list[str]]:
    """Return the day or month that files can be merged to -> their names; files of recent days are in none."""
    periods = defaultdict(list)
    for name, file in files.items():
        last = max(file.days, default=today)
        month_end = (last.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        if today - month_end > timedelta(days=DAYS):
            periods[f"{last:%Y-%m}"].append(name)
        elif today - last >= timedelta(days=SETTLED) and len(file.days) == 1:
            periods[last.isoformat()].append(name)
    return periods


def _remove_abandoned(folder: Path) -> None:
    """Remove temporary files of killed processes; others may be writing theirs."""
    oldest = time.time() - ABANDONED
    for path in [*folder.glob(".*.tmp"), *(folder / FOLDER).glob(".*.tmp")]:
        if path.lstat().st_mtime < oldest:
            path.unlink(missing_ok=True)


@contextmanager
def _only_process(folder: Path) -> Iterator[bool]:
    """Yield True if no other process compacts the folder."""
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        yield _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Return True if this process now has the lock; False, too, on a file system without locks."""
    try:
        return try_lock(handle)
    except UsageError:
        return False
