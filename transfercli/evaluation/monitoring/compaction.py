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
from transfercli.evaluation.monitoring.log_files import SUFFIX, LogFile, read_log_file, write_log_file
from transfercli.evaluation.monitoring.log_folder import log_files
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
        for period, paths in _periods(log_files(folder), today).items():
            if len(paths) > 1 or not paths[0].name.startswith(f"{period}."):
                _merge(folder, facts, period, paths)


def _merge(folder: Path, facts: ModelFacts, period: str, paths: list[Path]) -> None:
    """Merge files, and remove those that another holds, whose writer was killed before it removed them."""
    files = {path.name: read_log_file(path, facts.key, len(facts.labels)) for path in paths}
    holds = {name for file in files.values() for name in file.holds}
    rest = {name: file for name, file in files.items() if name not in holds}
    if len(rest) > 1 or not next(iter(rest)).startswith(f"{period}."):
        days, sample = merged(rest.values(), len(facts.labels))
        rows = rows_that_fit(sample.features.shape[1], len(facts.labels))
        content = LogFile(facts.key, days, sample.smallest(rows), tuple(sorted({*rest, *holds})))
        write_log_file(folder / new_name(period), content)
        holds.update(rest)
    for name in holds & set(files):
        (folder / name).unlink(missing_ok=True)


def _periods(paths: list[Path], today: date) -> dict[str, list[Path]]:
    """Return the day or month that files can be merged to -> the files; those of recent days are in none."""
    periods = defaultdict(list)
    for path in paths:
        name = path.name.partition(".")[0]
        try:
            day = date.fromisoformat(name if len(name) > len("2026-11") else f"{name}-01")
        except ValueError:  # no day that there is: not a file of this program
            continue
        month_end = (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        if today - month_end > timedelta(days=DAYS):
            periods[f"{day:%Y-%m}"].append(path)
        elif today - day >= timedelta(days=SETTLED):
            periods[name].append(path)
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
