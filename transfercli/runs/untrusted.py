"""A run folder may come from a stranger: what is read there is a regular file of bounded size, and nothing leads out.

Links would let a run that is evaluated read, replace or remove what lies elsewhere, a pipe would keep a reader waiting
for ever, and a file of gigabytes fill memory.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.errors import ArtefactError
from transfercli.io.bounded import RESTORE

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_ENTRIES = 100_000


def check_closed(run: Path) -> None:
    """Raise `ArtefactError` unless the folder holds regular files, folders, and links to a neighbour by its name."""
    entries = 0
    for folder, folders, files in os.walk(run):
        for name in (*folders, *files):
            entries += 1
            if entries > MAX_ENTRIES:
                raise ArtefactError(f"{run} holds more than {MAX_ENTRIES} files, so it is no run", RESTORE)
            _check_entry(Path(folder, name), run)


def _check_entry(path: Path, run: Path) -> None:
    try:
        kind = path.lstat().st_mode
        target = str(path.readlink()) if stat.S_ISLNK(kind) else ""
    except OSError:  # a temporary file that its writer has just renamed
        return
    if stat.S_ISLNK(kind) and not is_neighbour(target):
        raise ArtefactError(
            f"{path.relative_to(run)} in the run {run.name} is a link to {target!r}, and a run's links stay beside it",
            "put the file itself there",
        )
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind)):
        raise ArtefactError(
            f"{path.relative_to(run)} in the run {run.name} is neither a file nor a folder", "remove it"
        )


def is_neighbour(target: str) -> bool:
    """Whether a link's target is the bare name of something in the link's own folder."""
    return bool(target) and os.sep not in target and target not in (os.curdir, os.pardir)


def problem_of(error: ValidationError) -> str:
    """`key.key: what is wrong`, the first that pydantic found in a file of a run."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"


def numbers_of(facts: Any, key: str, path: Path) -> dict[str, float | None]:
    """The names and numbers (or nulls) that a file says under `key`; empty where it says nothing there.

    `ArtefactError` where something else stands there: whoever draws or compares them relies on numbers.
    """
    found = facts.get(key) if isinstance(facts, dict) else facts
    if found is None and isinstance(facts, dict):
        return {}
    if not isinstance(found, dict) or not all(value is None or is_number(value) for value in found.values()):
        raise ArtefactError(f"{path} is damaged: it says {str(found)[:80]!r} for {key}", RESTORE)
    return dict(found)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
