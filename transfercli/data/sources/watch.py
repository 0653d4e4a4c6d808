"""A drop folder: the images that come into it, each named once it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from transfercli.data.image import Named
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, walk

BETWEEN_LOOKS = 1.0  # seconds

State = tuple[int, int, int]


def dropped(
    folder: Path, seconds: float = BETWEEN_LOOKS, rest: Callable[[float], None] = time.sleep
) -> Iterator[Named]:
    """Every image in a folder, at any depth, and then every one that comes into it; never ends.

    A file is named when two looks, `seconds` apart, find the same size and time, so that one which is being written is
    left alone; hidden files are passed over. One that is written anew is named again. Looking works on any file system,
    also on those of other machines, where a kernel tells of no events.

    Raises `DataError` where the folder cannot be listed.
    """
    seen: dict[str, State] = {}
    told: dict[str, State] = {}
    while True:
        here = _states(folder)
        told = {path: state for path, state in told.items() if path in here}
        for path, state in here.items():
            if seen.get(path) == state != told.get(path):
                told[path] = state
                yield Named(path)
        seen = here
        rest(seconds)


def _states(folder: Path) -> dict[str, State]:
    """What can be told of each image without opening it: inode, size, and when it was written."""
    found = {}
    for path in walk(folder):
        if Path(path).suffix.lower() in IMAGE_EXTENSIONS:
            try:
                info = os.stat(path)  # noqa: PTH116 - called for every file of the folder, at every look
            except OSError:  # taken away meanwhile, or a link to nothing
                continue
            found[path] = (info.st_ino, info.st_size, info.st_mtime_ns)
    return found
