"""Bounded reads: JSON from a regular file of limited size.

A file may come from a stranger: a pipe would keep a reader waiting for ever, and gigabytes would fill memory.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError

MAX_JSON = 16 * 2**20
RESTORE = "the run is damaged; restore it or name another"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of at most 16 MiB. Raises `ArtefactError` if it is missing or damaged."""
    try:
        return json.loads(_content(path), parse_constant=_no_number)
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing", "the folder is not a whole run; name another run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}", RESTORE) from error


def _content(path: Path) -> bytes:
    # A pipe without a writer would wait at `open`; with O_NONBLOCK it is opened, and then found to be none of ours.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError("it is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no regular file")
        if found.st_size > MAX_JSON:
            raise ValueError(f"it has {found.st_size} bytes, and at most {MAX_JSON} are read")
        return file.read(MAX_JSON)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number that JSON has")
