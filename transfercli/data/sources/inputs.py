"""Input paths of `predict`: files, folders, tar archives, patterns and `-` for a list on stdin, expanded to images."""

from __future__ import annotations

import glob
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from transfercli.data.archive_members import is_archive
from transfercli.data.image import InputImage
from transfercli.data.sources.folders import listed_file, walk
from transfercli.data.sources.storage.places import archives_at
from transfercli.data.sources.storage.remote_inputs import remote_images
from transfercli.data.sources.storage.shards import images_in
from transfercli.errors import DataError
from transfercli.io.addresses import is_remote
from transfercli.reporting import Reporter

STDIN = "-"
MAX_NAME_BYTES = 1 << 20  # per name of a list; bounds memory if the list has no line end
_READ_BYTES = 1 << 16
_MAX_QUEUED = 1024  # names in the queue


def expand_inputs(
    paths: Iterable[str], listed: Callable[[], Iterator[str]], reporter: Reporter | None = None
) -> Iterator[InputImage]:
    """Yield every image that `paths` name, in their order; inside a folder sorted by name.

    A file is included whatever its name; in a folder, only files with the extension or the content of an image are,
    and in a tar archive, files with the extension. A path or pattern without an image is yielded with a problem.

    Args:
        listed: yields the files and folders that `-` stands for.
        reporter: reports transfers, and may stop them; None in another thread than the main one.
    """
    for path in paths:
        if path == STDIN:
            for name in listed():
                yield from _expand(name, reporter)
        elif glob.has_magic(path) and not is_remote(path) and not _exists(path):
            matches = sorted(glob.iglob(path, recursive=True))
            for name in matches:
                yield from _expand(name, reporter)
            if not matches:
                yield InputImage(path, "no file matches this pattern")
        else:
            yield from _expand(path, reporter)


def _exists(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - False, without an error, for an impossible file name


def _expand(path: str, reporter: Reporter | None) -> Iterator[InputImage]:
    if is_remote(path):
        yield from remote_images(path, reporter)
        return
    try:
        is_folder = Path(path).is_dir()
        archives = archives_at(Path(path)) if is_folder or is_archive(path) else []
    except DataError as error:
        yield InputImage(path, error.message)
        return
    except (OSError, ValueError):  # an impossible file name; decoding reports it
        is_folder, archives = False, []
    if not is_folder and not archives:
        yield InputImage(path)
        return
    empty = True
    try:
        for archive in archives:
            for file in images_in(archive):
                yield InputImage(file)
                empty = False
        for file in () if archives else walk(Path(path)):
            problem, is_image = listed_file(file)
            if is_image:
                yield InputImage(file, problem)
                empty = False
    except DataError as error:
        yield InputImage(path, error.message)
        return
    if empty:
        yield InputImage(path, f"no image in this {'archive' if archives else 'folder'}")


def read_names(handle: int) -> Iterator[str]:
    """Yield names from a file descriptor as they arrive: one per line, or separated by NUL as by `find -print0`.

    Empty lines are skipped, and lines may end in CRLF; names between NULs are used unchanged. Raises `DataError` if a
    name is longer than `MAX_NAME_BYTES`.
    """
    rest, end = b"", b""
    while content := os.read(handle, _READ_BYTES):
        rest += content
        end = end or next((separator for separator in (b"\0", b"\n") if separator in rest), b"")
        if end:
            *names, rest = rest.split(end)
            yield from _decoded(names, end)
        if len(rest) > MAX_NAME_BYTES:
            raise DataError(
                "the list on stdin holds a name that is too long", "give one name per line, or separate names by NUL"
            )
    yield from _decoded([rest], end)


def _decoded(names: list[bytes], end: bytes) -> Iterator[str]:
    if end == b"\0":
        return (os.fsdecode(name) for name in names if name)
    return (os.fsdecode(name.removesuffix(b"\r")) for name in names if name.strip())


class InputQueue:
    """Queue of image names that a thread fills, so that a slow pipe does not delay images being decoded.

    exhausted: True once all names were taken.
    """

    def __init__(self, names: Iterator[InputImage]) -> None:
        self._names = names
        self._queue: queue.Queue[InputImage | BaseException | None] = queue.Queue(_MAX_QUEUED)
        threading.Thread(target=self._fill, daemon=True, name="names").start()
        self.exhausted = False

    def take(self, most: int, seconds: float) -> list[InputImage]:
        """Return at most `most` of the names that have arrived; wait at most `seconds` for the first."""
        images: list[InputImage] = []
        while len(images) < most and not self.exhausted:
            try:
                item = self._queue.get(timeout=seconds) if seconds and not images else self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, BaseException):
                raise item
            if item is None:
                self.exhausted = True
            else:
                images.append(item)
        return images

    def _fill(self) -> None:
        try:
            for name in self._names:
                self._queue.put(name)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)
