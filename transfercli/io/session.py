"""Session of several trainings in one process: what follows from unchanged inputs is computed once for all of them.

Without a session nothing is kept, so a single training holds no memory longer than it needs.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")
KEPT = 4  # values of a kind; the least recently used one leaves first

_kept: dict[str, OrderedDict[Hashable, Any]] | None = None


@contextmanager
def shared_session() -> Iterator[None]:
    """Keep the values of `once` until the block ends; a session inside another one joins it."""
    global _kept
    if _kept is not None:
        yield
        return
    _kept = {}
    try:
        yield
    finally:
        _kept = None


def once(kind: str, key: Hashable, compute: Callable[[], T]) -> T:
    """Return `compute()`, or the value that the session keeps for the same kind and key.

    key: everything that the value depends on. The value must not be changed.
    """
    if _kept is None:
        return compute()
    values = _kept.setdefault(kind, OrderedDict())
    if key in values:
        values.move_to_end(key)
        return cast(T, values[key])
    value = values[key] = compute()
    while len(values) > KEPT:
        values.popitem(last=False)
    return value


def file_state(path: Path) -> tuple[str, int, int, int, int, int]:
    """Return what changes if a file does: path, device, inode, size in bytes, and times in ns. Raises `OSError`."""
    state = path.stat()
    place = os.fspath(path.absolute()), state.st_dev, state.st_ino
    return *place, state.st_size, state.st_mtime_ns, state.st_ctime_ns
