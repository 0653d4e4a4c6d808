"""From what is typed (files, folders, patterns, `-` for a list on stdin) to the names of images, one at a time."""

from __future__ import annotations

import glob
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from transfercli.data.image import Named
from transfercli.data.sources.folders import IMAGE_EXTENSIONS, OTHER_IMAGES, walk
from transfercli.errors import DataError

LISTED = "-"
MAX_NAME_BYTES = 1 << 20  # of a name on a list; a file without an end of line must not fill the memory
_READ_BYTES = 1 << 16
_WAITING = 1024  # names held at most


def named_images(paths: Iterable[str], listed: Callable[[], Iterator[str]]) -> Iterator[Named]:
    """Every image that `paths` name, in their order; inside a folder by name.

    A file is tried whatever it is called; in a folder only images are looked at. What leads to nothing is told in its
    place.

    Args:
        listed: the names that `-` stands for: files and folders.
    """
    for path in paths:
        if path == LISTED:
            for name in listed():
                yield from _named(name)
        elif glob.has_magic(path) and not _exists(path):
            found = sorted(glob.iglob(path, recursive=True))
            for name in found:
                yield from _named(name)
            if not found:
                yield Named(path, "no file matches this pattern")
        else:
            yield from _named(path)


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - False, and no error, also for a name that no file can have


def _named(path: str) -> Iterator[Named]:
    try:
        is_folder = Path(path).is_dir()
    except (OSError, ValueError):  # a name that no file can have: its decoder says so
        is_folder = False
    if not is_folder:
        yield Named(path)
        return
    empty = True
    try:
        for file in walk(Path(path)):
            extension = Path(file).suffix.lower()
            if extension in IMAGE_EXTENSIONS:
                yield Named(file)
            elif extension in OTHER_IMAGES:
                yield Named(file, f"not read: extension {extension!r}")
            else:
                continue
            empty = False
    except DataError as error:
        yield Named(path, error.message)
        return
    if empty:
        yield Named(path, "no image in this folder")


def names_on(handle: int) -> Iterator[str]:
    """Names read from a file descriptor as they come, one a line, or each ended by NUL as `find -print0` does it.

    Empty lines are passed over, and the end of a line may be Windows'; between NULs a name is taken as it
    stands. Raises DataError where a name has no end.
    """
    rest, end = b"", b""
    while content := os.read(handle, _READ_BYTES):
        rest += content
        end = end or next((mark for mark in (b"\0", b"\n") if mark in rest), b"")
        if end:
            *names, rest = rest.split(end)
            yield from _decoded(names, end)
        if len(rest) > MAX_NAME_BYTES:
            raise DataError("the list on stdin holds a name without an end", "one name a line, or NUL between them")
    yield from _decoded([rest], end)


def _decoded(names: list[bytes], end: bytes) -> Iterator[str]:
    if end == b"\0":
        return (os.fsdecode(name) for name in names if name)
    return (os.fsdecode(name.removesuffix(b"\r")) for name in names if name.strip())


class Feed:
    """Names taken by a thread from where they come, so that a slow pipe holds up nothing that is under way."""

    def __init__(self, names: Iterator[Named]) -> None:
        self._names = names
        self._queue: queue.Queue[Named | BaseException | None] = queue.Queue(_WAITING)
        threading.Thread(target=self._fill, daemon=True, name="names").start()
        self.over = False

    def take(self, most: int, seconds: float) -> list[Named]:
        """At most so many of the names that are there; waits for the first. None at all: not yet, or `over`."""
        taken: list[Named] = []
        while len(taken) < most and not self.over:
            try:
                found = self._queue.get(timeout=seconds) if seconds and not taken else self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(found, BaseException):
                raise found
            if found is None:
                self.over = True
            else:
                taken.append(found)
        return taken

    def _fill(self) -> None:
        try:
            for name in self._names:
                self._queue.put(name)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)
