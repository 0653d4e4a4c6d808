"""Bounded reads: JSON from a regular file of limited size.

A file may come from an untrusted source: reading a pipe could block forever, and a huge file would fill memory.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from transfercli.errors import ArtefactError

MAX_JSON = 16 * 2**20  # bytes
MAX_INTEGER = 2**63  # larger ones become infinite, or an error, in arithmetic
RESTORE_HINT = "the run is damaged; restore it or name another"


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of at most 16 MiB. Raises `ArtefactError` if it is missing or damaged."""
    try:
        return parse_json(_content(path))
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing", "the run is incomplete; name another run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtefactError(f"{path} cannot be read: {error}", RESTORE_HINT) from error


def parse_json(text: str | bytes) -> Any:
    """Parse JSON from an untrusted source. Raises `ValueError` if a number is not finite or too large."""
    return json.loads(text, parse_constant=_refuse_constant, parse_int=_integer, parse_float=_finite)


def _content(path: Path) -> bytes:
    # Opening a pipe without a writer would block; with O_NONBLOCK it opens, and the check below refuses it.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        info = os.fstat(handle)
        if stat.S_ISDIR(info.st_mode):
            raise IsADirectoryError("it is a folder")
        if not stat.S_ISREG(info.st_mode):
            raise OSError("it is not a regular file")
        if info.st_size > MAX_JSON:
            raise ValueError(f"it has {info.st_size} bytes; at most {MAX_JSON} are read")
        return file.read(MAX_JSON)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _integer(text: str) -> int:
    number = int(text)
    if abs(number) > MAX_INTEGER:
        raise ValueError(f"a number of {len(text)} digits is too large")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number
