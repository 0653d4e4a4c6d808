"""Caches of processes that train together: each folder is written by one of those that share it.

Processes of one host, or hosts with a shared disk, have the same cache folder; other hosts have one each.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from transfercli.io.atomic import make_folder
from transfercli.training.distribution.agreement import from_chief, meet
from transfercli.training.distribution.processes import processes

T = TypeVar("T")

_keeps: dict[Path, bool] = {}


def keeps(root: Path, on_wait: Callable[[], None] = lambda: None) -> bool:
    """Return True if this process writes the cache in folder `root`: the first of those that share it.

    All processes call this together. Those with the same folder find each other by the empty files that they put there
    for a moment.
    """
    if processes().count == 1:
        return True
    if root not in _keeps:
        name = f".process-{from_chief(lambda: secrets.token_hex(8), on_wait)}-"
        own = root / f"{name}{processes().rank}"
        with suppress(OSError):  # a folder that cannot be written is no shared one
            make_folder(root)
            own.touch()
        meet(on_wait)
        sharing = [int(path.name.removeprefix(name)) for path in root.glob(f"{name}*")] if root.is_dir() else []
        meet(on_wait)
        with suppress(OSError):
            own.unlink()
        _keeps[root] = min([processes().rank, *sharing]) == processes().rank
    return _keeps[root]


def keeper_first(root: Path, work: Callable[[], T], on_wait: Callable[[], None] = lambda: None) -> T:
    """Return what `work`, which fills the cache in `root`, returns; of processes with the same folder, one works first.

    So nothing is computed twice: the others find it there.
    """
    first = keeps(root, on_wait)
    if first:
        result = work()
    meet(on_wait)
    return result if first else work()
