"""Where decoded pixels live: a content-addressed cache shared by runs and experiments, mapped into memory.

CACHE/images/index.sqlite               which content stands where (cache_index.py)
CACHE/images/GEOMETRY/NAME.pixels       a segment: uint8 rows [n, H, W, 3], nothing else; never changed once named

A segment is filled under a temporary name, fsynced, renamed, and only then known to the index, so processes can fill
the cache at once and a crash leaves nothing that looks whole. Whole segments are evicted, least recently used first.
A process holds a lock on every file that it fills or maps, so that `cache clear` knows what is in use; the lock ends
with the process, whatever ends it.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import sqlite3
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import platformdirs

from transfercli.config.schema import ComputeConfig
from transfercli.data.cache_index import Entry, Index
from transfercli.data.decode import Decoded, Geometry
from transfercli.runs.atomic import fsync_folder, room_errors

SEGMENT_BYTES = 256 * 1024 * 1024
OPEN_SEGMENTS = 128  # each map holds a file descriptor
STALE_SECONDS = 24 * 3600  # a temporary file this old belongs to nobody
TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# Decoded images; safe to remove. See bford.info/cachedir\n"


class Store(Protocol):
    """Decoded pixels of one geometry: the shared cache, or memory of this process alone (scratch.py)."""

    geometry: Geometry
    trouble: str  # why what was added may not be found by the next process; "" where all is well

    def known(self, file: str, size: int, mtime_ns: int) -> str | None: ...
    def entry(self, sha256: str) -> Entry | None: ...
    def add(self, decoded: Decoded) -> Entry: ...
    def remember(self, file: str, decoded: Decoded) -> None: ...
    def make_room(self, wanted: int) -> None: ...
    def close(self) -> None: ...
    def rows(self, segment: str) -> np.ndarray: ...
    def damaged(self, segment: str) -> None: ...


def placed(compute: ComputeConfig, folder: Path) -> ComputeConfig:
    """The same section with `cache_dir` absolute: a relative one is relative to the config file's `folder`."""
    if compute.cache_dir is None:
        return compute
    return compute.model_copy(update={"cache_dir": str(folder.absolute() / Path(compute.cache_dir).expanduser())})


def cache_root(compute: ComputeConfig) -> Path:
    """The folder of all caches: `compute.cache_dir`, else TRANSFERCLI_CACHE, else the user's cache folder."""
    place = compute.cache_dir or os.environ.get("TRANSFERCLI_CACHE") or platformdirs.user_cache_dir("transfercli")
    return Path(place).expanduser().absolute()


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


def checksum(pixels: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(pixels).data)


def described(decoded: Decoded) -> Entry:
    """What the index keeps of an outcome, its place apart."""
    entry = Entry(decoded.sha256, decoded.pixel_hash, decoded.width, decoded.height, decoded.problem)
    return entry if decoded.pixels is None else replace(entry, checksum=checksum(decoded.pixels))


class DiskCache:
    """The shared cache, for one geometry; raises OSError or sqlite3.Error where its folder cannot be used."""

    def __init__(self, root: Path, geometry: Geometry, max_bytes: int) -> None:
        private_folder(root)
        self.root, self.geometry, self.max_bytes = root / "images", geometry, max_bytes
        self.folder = self.root / geometry.name
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        self.index = Index(self.root)
        self.trouble = ""
        self._used: set[str] = set()
        self._sound: dict[str, bool] = {}
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()
        self._fresh: dict[str, Entry] = {}  # decoded by this process and not in the index yet
        self._files: list[tuple[str, int, int, str]] = []
        self._segment: BinaryIO | None = None
        self._name, self._rows = "", 0

    def known(self, file: str, size: int, mtime_ns: int) -> str | None:
        """The content hash of a file that has not changed since it was read."""
        return self.index.sha256_of(file, size, mtime_ns)

    def entry(self, sha256: str) -> Entry | None:
        """What is known of a content; None where its pixels are not there whole."""
        found = self._fresh.get(sha256) or self.index.entry(self.geometry.name, sha256)
        if found is None or not found.segment or found.segment == self._name:
            return found
        if self._is_sound(found.segment):
            self._used.add(found.segment)
            return found
        self._write(lambda: self.index.forget(found.segment))
        return None

    def _is_sound(self, segment: str) -> bool:
        if segment not in self._sound:
            sizes = {name: size for name, _, size in self.index.segments()}
            try:
                self._sound[segment] = self.rows(segment).nbytes == sizes.get(segment)
            except (OSError, ValueError):
                self._sound[segment] = False
        return self._sound[segment]

    def _path(self, segment: str) -> Path:
        return self.folder / f"{segment}.pixels"

    def add(self, decoded: Decoded) -> Entry:
        """Append the pixels; the entry is good for this process at once, for others after `close`."""
        entry = described(decoded)
        if decoded.pixels is not None:
            with room_errors(self.folder):
                if self._segment is None:
                    self._name, self._rows = uuid.uuid4().hex, 0
                    self._segment = self._temporary().open("wb")
                    hold(self._segment, fcntl.LOCK_EX)
                self._segment.write(np.ascontiguousarray(decoded.pixels).data)
            entry = replace(entry, segment=self._name, place=self._rows)
            self._rows += 1
        self._fresh[entry.sha256] = entry
        if self._rows * decoded_bytes(self.geometry) >= SEGMENT_BYTES:
            self._finish_segment()
        return entry

    def remember(self, file: str, decoded: Decoded) -> None:
        """From the next time on, an unchanged `file` need not be opened."""
        self._files.append((file, decoded.size, decoded.mtime_ns, decoded.sha256))

    def _temporary(self) -> Path:
        return self.folder / f".{self._name}.tmp"

    def _finish_segment(self) -> None:
        name, size = "", self._rows * decoded_bytes(self.geometry)
        if self._segment is not None:
            with room_errors(self.folder):
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
        if self._write(lambda: self.index.add(self.geometry.name, (name, size), entries, files)):
            self._fresh, self._files = {}, []

    def _write(self, change: Callable[[], None]) -> bool:
        """Change the index; where that fails, this process goes on with what it holds, and the next reads again."""
        try:
            change()
        except sqlite3.Error as error:
            self.trouble = str(error)
        return not self.trouble

    def make_room(self, wanted: int) -> None:
        """Evict segments, least recently used first and none that was asked for, until `wanted` more bytes fit."""
        segments = self.index.segments()
        total = sum(size for _, _, size in segments) + wanted
        for name, geometry, size in segments:
            if total <= self.max_bytes:
                break
            if name not in self._used and self._write(partial(self.index.forget, name)):
                (self.root / geometry / f"{name}.pixels").unlink(missing_ok=True)
                total -= size
        self._sweep()

    def _sweep(self) -> None:
        """Remove what crashed or evicted processes left behind."""
        kept = {name for name, _, _ in self.index.segments()}
        for path in self.root.glob("*/*"):
            if path.stem in kept or path.suffix not in {".pixels", ".tmp"}:
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
                self._finish_segment()
            self._write(lambda: self.index.touch(self._used))
        finally:
            if self._segment is not None:
                self._segment.close()
                self._temporary().unlink(missing_ok=True)
                self._segment = None
            self.index.close()

    def rows(self, segment: str) -> np.ndarray:
        """A whole segment, uint8 [n, H, W, 3], mapped; raises OSError or ValueError where it is gone or cut short."""
        if segment in self._maps:
            self._maps.move_to_end(segment)
            return self._maps[segment]
        with self._path(segment).open("rb") as file:
            hold(file)
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._maps[segment] = np.frombuffer(mapped, np.uint8).reshape(-1, *self.geometry.shape)
        while len(self._maps) > OPEN_SEGMENTS:
            self._maps.popitem(last=False)
        return self._maps[segment]

    def damaged(self, segment: str) -> None:
        """Its rows are read from their files again the next time."""
        try:
            index = Index(self.root)
        except (OSError, sqlite3.Error):
            return
        index.forget(segment)
        index.close()


def decoded_bytes(geometry: Geometry) -> int:
    """Bytes of one image's pixels."""
    return geometry.height * geometry.width * 3
