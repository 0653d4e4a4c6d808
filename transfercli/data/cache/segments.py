"""Rows on disk that many runs share: decoded pixels and features of frozen layers, mapped into memory.

CACHE/index.sqlite               which row stands where (cache_index.py)
CACHE/KIND/SPACE/NAME.rows       a segment: rows of one shape and type, nothing else; never changed once named

A segment is filled under a temporary name, fsynced, renamed, and only then known to the index, so processes can fill
the cache at once and a crash leaves nothing that looks whole. Whole segments are evicted, least recently used first,
whatever kind they are of. A process holds a lock on every file that it fills or maps, so that `cache clear` knows what
is in use; the lock ends with the process, whatever ends it.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
import shutil
import sqlite3
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from transfercli.data.cache.index import Entry, FileRow, Index
from transfercli.errors import DiskError
from transfercli.io.atomic import fsync_folder, write_errors

SEGMENT_BYTES = 256 * 1024 * 1024
OPEN_SEGMENTS = 128  # each map holds a file descriptor
STALE_SECONDS = 24 * 3600  # a temporary file this old belongs to nobody
KINDS = ("images", "features")
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Images and features; safe to remove. See bford.info/cachedir\n"


@dataclass(frozen=True, slots=True)
class Space:
    """Rows that are alike: where they stand, `KIND/NAME`, and what one of them is."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "uint8"

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


class Segments:
    """The rows of one space; raises OSError or sqlite3.Error where the folder cannot be used.

    trouble: why what was added may not be found by the next process; "" where all is well.
    """

    def __init__(self, root: Path, space: Space, max_bytes: int) -> None:
        private_folder(root)
        self.root, self.space, self.max_bytes = root, space, max_bytes
        self.folder = root / space.name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.parent.chmod(0o700)
        self.index = Index(root)
        self.trouble = ""
        self._used: set[str] = set()
        self._sound: dict[str, bool] = {}
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()
        self._fresh: dict[str, Entry] = {}  # added by this process and not in the index yet
        self._files: list[FileRow] = []
        self._segment: BinaryIO | None = None
        self._name, self._rows = "", 0

    def entry(self, key: str) -> Entry | None:
        """What is known under a key; None where its row is not there whole."""
        return self.entries([key]).get(key)

    def entries(self, keys: Sequence[str]) -> dict[str, Entry]:
        """What is known under each key whose row is there whole."""
        found = self.index.entries(self.space.name, [key for key in keys if key not in self._fresh])
        found |= {key: self._fresh[key] for key in keys if key in self._fresh}
        segments = {entry.segment for entry in found.values()} - {"", self._name}
        lost = {segment for segment in segments if not self._is_sound(segment)}
        self._used |= segments - lost
        for segment in lost:
            self._write(partial(self.index.forget, segment))
        return {key: entry for key, entry in found.items() if entry.segment not in lost}

    def _is_sound(self, segment: str) -> bool:
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
        """Add a row (None where there is only a problem to tell); good for this process at once, for others later."""
        if row is not None:
            row = np.ascontiguousarray(row, self.space.dtype)
            with write_errors(self.folder):
                if self._segment is None:
                    self._name, self._rows = uuid.uuid4().hex, 0
                    self._segment = self._temporary().open("wb")
                    hold(self._segment, fcntl.LOCK_EX)
                self._segment.write(row.view(np.uint8).data)
            entry = replace(entry, segment=self._name, place=self._rows, checksum=checksum(row))
            self._rows += 1
        self._fresh[entry.key] = entry
        if self._rows * self.space.row_bytes >= SEGMENT_BYTES:
            self.finish_segment()
        return entry

    def _temporary(self) -> Path:
        return self.folder / f".{self._name}.tmp"

    def finish_segment(self) -> None:
        """Make what was added so far known to everybody; rows are readable from here on."""
        name, size = "", self._rows * self.space.row_bytes
        if self._segment is not None:
            with write_errors(self.folder):
                self._segment.flush()
                os.fsync(self._segment.fileno())
                self._temporary().rename(self._path(self._name))
                fsync_folder(self.folder)
            name = self._name
            hold(self._segment)  # from its writer's lock to a reader's
            self.rows(name)
            self._segment.close()
            self._sound[name] = True
            self._used.add(name)
        entries, files = list(self._fresh.values()), self._files
        self._segment, self._name, self._rows = None, "", 0
        if self._write(lambda: self.index.add(self.space.name, (name, size), entries, files)):
            self._fresh, self._files = {}, []

    def _write(self, change: Callable[[], None]) -> bool:
        """Change the index; where that fails, this process goes on with what it holds, and the next starts again."""
        try:
            change()
        except sqlite3.Error as error:
            self.trouble = str(error)
        return not self.trouble

    def make_room(self, wanted: int) -> None:
        """Evict segments, least recently used first and none that was asked for, until `wanted` more bytes fit.

        Raises `DiskError` where the disk has less room than that.
        """
        segments = self.index.segments()
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
        """Remove what crashed or evicted processes left behind."""
        kept = {name for name, _, _ in self.index.segments()}
        for path in segment_files(self.root):
            if path.stem in kept:
                continue
            try:
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()
            except FileNotFoundError:
                pass  # another process swept it

    def close(self) -> None:
        """Keep what was added, for everybody; rows stay readable."""
        try:
            if self._fresh or self._files:
                self.finish_segment()
            self._write(lambda: self.index.touch(self._used))
        finally:
            if self._segment is not None:
                with contextlib.suppress(OSError):  # what is left of it in memory has no room either
                    self._segment.close()
                self._temporary().unlink(missing_ok=True)
                self._segment = None
            self.index.close()

    def rows(self, segment: str) -> np.ndarray:
        """A whole segment, [n, *shape], mapped; raises OSError or ValueError where it is gone or cut short."""
        if segment in self._maps:
            self._maps.move_to_end(segment)
            return self._maps[segment]
        with self._path(segment).open("rb") as file:
            hold(file)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps[segment] = np.frombuffer(mapped, self.space.dtype).reshape(-1, *self.space.shape)
        while len(self._maps) > OPEN_SEGMENTS:
            self._maps.popitem(last=False)
        return self._maps[segment]

    def damaged(self, segment: str) -> None:
        """Its rows are made again the next time."""
        try:
            index = Index(self.root)
        except (OSError, sqlite3.Error):
            return
        index.forget(segment)
        index.close()


def segment_path(root: Path, space: str, segment: str) -> Path:
    return root / space / f"{segment}.rows"


def segment_files(root: Path) -> list[Path]:
    """All segments below a cache folder, and those that are being filled."""
    found = [path for kind in KINDS for path in sorted((root / kind).glob("*/*"))]
    return [path for path in found if path.suffix in {".rows", ".tmp"}]


def private_folder(root: Path) -> None:
    """Make a cache folder that only this user can enter; raises OSError where it belongs to somebody else."""
    fresh = not root.exists() or not any(root.iterdir())
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise PermissionError(f"{root} belongs to another user")
    if fresh:
        root.chmod(0o700)
        (root / "CACHEDIR.TAG").write_text(TAG)


def hold(file: BinaryIO, kind: int = fcntl.LOCK_SH) -> None:
    """Lock a file for as long as it, or a map of it, is open; where the file system knows no locks, do without."""
    with contextlib.suppress(OSError):
        fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)


def checksum(row: np.ndarray) -> int:
    """CRC-32 of a row's bytes."""
    return zlib.crc32(np.ascontiguousarray(row).view(np.uint8).data)
