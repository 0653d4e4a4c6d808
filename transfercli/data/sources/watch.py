"""Watched folder: images that are added to it, each yielded once it is completely written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from transfercli.data.image import InputImage
from transfercli.data.sources.folders import listed_file, walk

POLL_SECONDS = 1.0

State = tuple[int, int, int]


def watch_folder(
    folder: Path, seconds: float = POLL_SECONDS, sleep: Callable[[float], None] = time.sleep
) -> Iterator[InputImage]:
    """Yield every image in a folder, at any depth, then every image that is added or rewritten; never ends.

    A file is yielded when two scans, `seconds` apart, find the same size and modification time, so that files still
    being written are skipped; hidden files are ignored. Scanning also works on network file systems, which send no
    events.

    Raises `DataError` if the folder cannot be listed.
    """
    previous: dict[str, State] = {}
    yielded: dict[str, State] = {}
    while True:
        current = _states(folder)
        yielded = {path: state for path, state in yielded.items() if path in current}
        for path, state in current.items():
            if previous.get(path) == state != yielded.get(path):
                yielded[path] = state
                if listed_file(path) == ("", True):
                    yield InputImage(path)
        previous = current
        sleep(seconds)


def _states(folder: Path) -> dict[str, State]:
    """Return inode, size and modification time of each file, without opening it."""
    states = {}
    for path in walk(folder):
        try:
            info = os.stat(path)  # noqa: PTH116 - called for every file at every scan
        except OSError:  # removed meanwhile, or a broken link
            continue
        states[path] = (info.st_ino, info.st_size, info.st_mtime_ns)
    return states
