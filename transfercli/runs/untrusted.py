"""Untrusted run folders: checks of links, file types and numbers before anything in them is used.

A run may come from a stranger. A link could make an evaluation read, replace or remove files outside of the run, a pipe
would block its reader for ever, and a huge file would fill the memory.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfercli.errors import ArtefactError
from transfercli.io.bounded import RESTORE_HINT

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_ENTRIES = 100_000


def check_run_folder(run: Path) -> None:
    """Check that a run has only regular files, folders, and links to entries beside the link.

    Raises `ArtefactError` if it has anything else, or more than `MAX_ENTRIES` entries.
    """
    entries = 0
    for folder, folders, files in os.walk(run):
        for name in (*folders, *files):
            entries += 1
            if entries > MAX_ENTRIES:
                raise ArtefactError(f"{run} holds more than {MAX_ENTRIES} files, so it is not a run", RESTORE_HINT)
            _check_entry(Path(folder, name), run)


def _check_entry(path: Path, run: Path) -> None:
    try:
        mode = path.lstat().st_mode
        target = str(path.readlink()) if stat.S_ISLNK(mode) else ""
    except OSError:  # a temporary file that its writer has just renamed
        return
    if stat.S_ISLNK(mode) and not is_sibling_name(target):
        raise ArtefactError(
            f"{path.relative_to(run)} in the run {run.name} is a link to {target!r}, outside of the link's own folder",
            "replace the link with the file itself",
        )
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise ArtefactError(
            f"{path.relative_to(run)} in the run {run.name} is neither a file nor a folder", "remove it"
        )


def is_sibling_name(target: str) -> bool:
    """Return True if a link's target is the bare name of an entry in the link's own folder."""
    return bool(target) and os.sep not in target and target not in (os.curdir, os.pardir)


def problem_of(error: ValidationError) -> str:
    """Return `key.key: problem` for the first problem that pydantic reports about a file."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"


def numbers_of(content: Any, key: str, path: Path) -> dict[str, float | None]:
    """Return the names and numbers (or None) under `key` in the content of a JSON file; empty if the key is missing.

    Raises `ArtefactError` if the value is anything else, because charts and comparisons need numbers.
    """
    numbers = content.get(key) if isinstance(content, dict) else content
    if numbers is None and isinstance(content, dict):
        return {}
    if not isinstance(numbers, dict) or not all(value is None or is_number(value) for value in numbers.values()):
        raise ArtefactError(f"{path} is damaged: {key} must hold numbers; received {str(numbers)[:80]!r}", RESTORE_HINT)
    return dict(numbers)


def is_number(value: Any) -> bool:
    """Return True for int and float, but not for bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)
