"""Segments: files of rows shared by many runs (decoded pixels, features of frozen layers), mapped into memory.

CACHE/index.sqlite               location of each row (index.py)
CACHE/KIND/SPACE/NAME.rows       a segment: rows of one shape and dtype, without a header; immutable

A segment is written under a temporary name, fsynced, renamed and then added to the index, so that several processes can
write to the cache at the same time and a crash leaves no partial segment in it. Whole segments of all kinds are
evicted: first those whose runs are gone, then the least recently used. A process locks every file that it writes or
maps, so that `cache clear` detects files in use; the kernel releases the lock when the process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import math
import mmap
import os
import shutil
import sqlite3
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from transfercli.data.cache.index import Entry, FileRow, Index
from transfercli.errors import DiskError, UsageError
from transfercli.io.atomic import fsync_folder, write_errors
from transfercli.io.file_lock import temporary_lock

SEGMENT_BYTES = 256 * 1024 * 1024  # size at which a segment is finished
OPEN_SEGMENTS = 128  # maps kept open; each needs a file descriptor
STALE_SECONDS = 24 * 3600  # age after which a temporary file is abandoned
RESERVED_SHARE = 0.1  # of the free disk space, left to other programs
KINDS = ("images", "features")
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Images and features; safe to remove. See bford.info/cachedir\n"


@dataclass(frozen=True, slots=True)
class Space:
    """Rows of the same shape and dtype; the name is `KIND/NAME`."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "uint8"

    @property
    def row_bytes(self) -> int:
        """Size of one row in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Segments:
    """Rows of one space on disk. Raises `OSError` or `sqlite3.Error` if the folder cannot be used.

    trouble: why added rows may be unavailable to other processes, or "".
    """

    def __init__(self, root: Path, space: Space, max_bytes: int) -> None:
        make_private_folder(root)
        self.root, self.space, self.max_bytes = root, space, max_bytes
        self.folder = root / space.name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.parent.chmod(0o700)
        self.index = Index(root)
        self.trouble = ""
        self._used: set[str] = set()
        self._sound: dict[str, bool] = {}
        self._maps: OrderedDict[str, tuple[mmap.mmap, np.ndarray]] = OrderedDict()
        self._fresh: dict[str, Entry] = {}  # added by this process, not in the index yet
        self._files: list[FileRow] = []
        self._segment: BinaryIO | None = None
        self._name, self._rows = "", 0

    def entry(self, key: str) -> Entry | None:
        """Return the entry of a key, or None if its row is missing or incomplete."""
        return self.entries([key]).get(key)

    def entries(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entry of each key whose row is complete."""
        entries = self.index.entries(self.space.name, [key for key in keys if key not in self._fresh])
        entries |= {key: self._fresh[key] for key in keys if key in self._fresh}
        segments = {entry.segment for entry in entries.values()} - {"", self._name}
        lost = {segment for segment in segments if not self._is_sound(segment)}
        self._used |= segments - lost
        for segment in lost:
            self._write(partial(self.index.forget, segment))
        return {key: entry for key, entry in entries.items() if entry.segment not in lost}

    def _is_sound(self, segment: str) -> bool:
        """Return True if the segment's file exists and has the size recorded in the index."""
        if segment not in self._sound:
            sizes = {name: size for name, _, size in self.index.segments()}
            try:
                self._sound[segment] = self.rows(segment).nbytes == sizes.get(segment)
            except (OSError, ValueError):
                self._sound[segment] = False
        return self._sound[segment]

    def _path(self, segment: str) -> Path:
        return segment_path(self.root, self.space.name, segment)

    def append(self, entry: Entry, row: np.ndarray | None) -> Entry:
        """Add a row (None for an entry with a problem); usable in this process at once, in others when finished."""
        if row is not None:
            row = np.ascontiguousarray(row, self.space.dtype)
            with write_errors(self.folder):
                if self._segment is None:
                    self._name, self._rows = uuid.uuid4().hex, 0
                    self._segment = self._temporary().open("wb")
                    lock_file(self._segment, fcntl.LOCK_EX)
                self._segment.write(row.view(np.uint8).data)
            entry = replace(entry, segment=self._name, row=self._rows, checksum=checksum(row))
            self._rows += 1
        self._fresh[entry.key] = entry
        if self._rows * self.space.row_bytes >= SEGMENT_BYTES:
            self.finish_segment()
        return entry

    def _temporary(self) -> Path:
        return self.folder / f".{self._name}.tmp"

    def finish_segment(self) -> None:
        """Rename the current segment and add its rows to the index; they can be read from then on."""
        name, size = "", self._rows * self.space.row_bytes
        if self._segment is not None:
            with write_errors(self.folder):
                self._segment.flush()
                os.fsync(self._segment.fileno())
                self._temporary().rename(self._path(self._name))
                fsync_folder(self.folder)
            name = self._name
            lock_file(self._segment)  # replaces the writer's lock by a reader's
            self.rows(name)
            self._segment.close()
            self._sound[name] = True
            self._used.add(name)
        entries, files = list(self._fresh.values()), self._files
        self._segment, self._name, self._rows = None, "", 0
        if self._write(lambda: self.index.add(self.space.name, (name, size), entries, files)):
            self._fresh, self._files = {}, []

    def flush(self) -> None:
        """Make the rows added so far available to other processes."""
        if self._fresh or self._files:
            self.finish_segment()

    def _write(self, change: Callable[[], None]) -> bool:
        """Change the index and return True; if it fails, continue with the rows of this process and return False."""
        try:
            change()
        except sqlite3.Error as error:
            self.trouble = str(error)
        return not self.trouble

    def make_room(self, wanted: int) -> None:
        """Evict segments that this process does not use, until `wanted` more bytes fit.

        Features of runs that no longer exist go first, then the least recently used segments.
        Raises `DiskError` if the disk has less free space.
        """
        abandoned = self.index.abandoned()
        segments = sorted(self.index.segments(), key=lambda segment: segment[1] not in abandoned)
        total = sum(size for _, _, size in segments) + wanted
        for name, space, size in segments:
            if total <= self.max_bytes:
                break
            if name not in self._used and self._write(partial(self.index.forget, name)):
                segment_path(self.root, space, name).unlink(missing_ok=True)
                total -= size
        self._sweep()
        free = shutil.disk_usage(self.root).free
        if wanted > free:
            raise DiskError(
                f"the cache needs {wanted / 1e6:,.0f} MB for {self.space.name}, and {free / 1e6:,.0f} MB are free",
                "free disk space, name a folder on a larger disk as compute.cache_dir, or set compute.cache to off",
            )

    def _sweep(self) -> None:
        """Delete stale files of crashed processes and of evicted segments."""
        kept = {name for name, _, _ in self.index.segments()}
        for path in segment_files(self.root):
            if path.stem in kept:
                continue
            try:
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()
            except FileNotFoundError:
                pass  # another process deleted it

    @contextlib.contextmanager
    def filling(self, keys: Sequence[str], on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the right to make the rows of these keys, for which other processes that want the same rows wait.

        Call `flush` inside the block, so that they find the rows. On a file system without locks nobody waits.
        on_wait: called about 5 times a second while waiting; may raise to stop.
        """
        name = hashlib.sha256("\n".join(keys).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(UsageError):
                file = self.folder / f".{name}.lock"
                stack.enter_context(temporary_lock(file, "filling the cache", math.inf, on_wait))
            yield

    def close(self) -> None:
        """Finish the current segment; rows can still be read."""
        try:
            self.flush()
            self._write(lambda: self.index.touch(self._used))
        finally:
            if self._segment is not None:
                with contextlib.suppress(OSError):  # the disk is full, so buffered rows cannot be written
                    self._segment.close()
                self._temporary().unlink(missing_ok=True)
                self._segment = None
            self.index.close()

    def rows(self, segment: str) -> np.ndarray:
        """Return a mapped segment, [n, *shape]. Raises `OSError` or `ValueError` if it is missing or truncated."""
        if segment in self._maps:
            self._maps.move_to_end(segment)
            return self._maps[segment][1]
        with self._path(segment).open("rb") as file:
            lock_file(file)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        rows = np.frombuffer(mapped, self.space.dtype).reshape(-1, *self.space.shape)
        self._maps[segment] = mapped, rows
        while len(self._maps) > OPEN_SEGMENTS:
            self._maps.popitem(last=False)
        return rows

    def release(self) -> None:
        """Remove the pages of mapped segments from this process's memory; a later read maps them again."""
        for mapped, _ in self._maps.values():
            mapped.madvise(mmap.MADV_DONTNEED)

    def damaged(self, segment: str) -> None:
        """Remove a damaged segment from the index, so that its rows are created again next time."""
        try:
            index = Index(self.root)
        except (OSError, sqlite3.Error):
            return
        index.forget(segment)
        index.close()


def available_bytes(root: Path, max_bytes: int, reserved: int = 0) -> int:
    """Return the bytes that a cache of at most `max_bytes` may take if all other rows are evicted: the disk counts.

    Rows in the cache count as available, so a restarted run gets the same answer as before it wrote some. reserved:
    bytes of the disk that are needed for other files. Raises `OSError` or `sqlite3.Error` if the cache cannot be used.
    """
    make_private_folder(root)
    with contextlib.closing(Index(root)) as index:
        stored = sum(size for _, _, size in index.segments())
    free = max(0, shutil.disk_usage(root).free - reserved)
    return int(min(max_bytes, stored + free * (1 - RESERVED_SHARE)))


def segment_path(root: Path, space: str, segment: str) -> Path:
    """Return the file of a segment."""
    return root / space / f"{segment}.rows"


def segment_files(root: Path) -> list[Path]:
    """Return all segment files below a cache folder, also those being written."""
    paths = [path for kind in KINDS for path in sorted((root / kind).glob("*/*"))]
    return [path for path in paths if path.suffix in {".rows", ".tmp"}]


def make_private_folder(root: Path) -> None:
    """Create a cache folder that only this user can enter. Raises `OSError` if another user owns it."""
    fresh = not root.exists() or not any(root.iterdir())
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise PermissionError(f"{root} belongs to another user")
    if fresh:
        root.chmod(0o700)
        (root / "CACHEDIR.TAG").write_text(TAG)


def lock_file(file: BinaryIO, kind: int = fcntl.LOCK_SH) -> None:
    """Lock a file while it, or a map of it, is open; do nothing if the file system does not support locks."""
    with contextlib.suppress(OSError):
        fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)


def checksum(row: np.ndarray) -> int:
    """Return the CRC-32 of a row's bytes."""
    return zlib.crc32(np.ascontiguousarray(row).view(np.uint8).data)
