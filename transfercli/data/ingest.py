"""One pass over the files: what has not changed is looked up, the rest is read, checked and decoded in parallel."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transfercli.config.schema import ComputeConfig
from transfercli.data.cache.images import DiskCache, Store, cache_root, pixel_space
from transfercli.data.cache.in_memory import Scratch
from transfercli.data.cache.index import Entry, FileState
from transfercli.data.cache.stored_images import stored_images
from transfercli.data.dataset import CacheCounts
from transfercli.data.decoding.decode import array_sha256, decode_file, resize_array
from transfercli.data.decoding.pool import decode_files
from transfercli.data.decoding.worker_client import WorkersUnavailableError
from transfercli.data.image import Decoded, Geometry
from transfercli.data.sources.folders import Item
from transfercli.data.sources.keras_datasets import Arrays
from transfercli.errors import ConfigError
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter
from transfercli.rows import Rows

# What reading costs in one process, roughly (28x28 PNGs; 12-megapixel JPEGs), against about half a second that
# workers need to start: a pass estimated below the bound is done here.
SECONDS_A_FILE = 3e-4
SECONDS_A_BYTE = 2e-8
SMALL_PASS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """How images are to be read: everything but which.

    Attributes:
        max_bad_fraction: unreadable images tolerated.
    """

    geometry: Geometry
    max_bad_fraction: float
    compute: ComputeConfig
    reporter: Reporter


class Ingest:
    """Reads files and arrays into one store; use as a context, ask for images after it.

    Whatever ends the pass, what was decoded until then is kept in the cache.
    """

    def __init__(self, reading: Reading, total: int) -> None:
        self.geometry, self.compute, self.reporter = reading.geometry, reading.compute, reading.reporter
        self.store = _open_store(reading, total)
        self.total, self.done = total, 0
        self.hits, self.misses = 0, 0

    def __enter__(self) -> Ingest:
        return self

    def __exit__(self, *error: object) -> None:
        self.store.close()
        if self.store.trouble:
            self.reporter.warning(f"the image cache keeps nothing of this run: {self.store.trouble}")

    @property
    def cache_folder(self) -> Path | None:
        """Where the shared cache is, or None where this process does without it."""
        return self.store.root if isinstance(self.store, DiskCache) else None

    @property
    def counts(self) -> CacheCounts:
        return CacheCounts(self.hits, self.misses)

    def images(self, entries: Sequence[Entry], redo: Sequence[Callable[[], Decoded]]) -> Rows:
        """The pixels of entries without a problem; `redo` decodes one again, should the cache be damaged."""
        return stored_images(self.store, entries, redo)

    def files(self, items: Sequence[Item]) -> list[Entry]:
        """What is known of each file afterwards, problems included."""
        entries: list[Entry | None] = [Entry("", problem=item.problem) if item.problem else None for item in items]
        asked = [position for position, entry in enumerate(entries) if entry is None]
        states = {position: state for position in asked if (state := _state(items[position].file))}
        for position, entry in zip(states, self._lookup([*states.values()]), strict=True):
            entries[position] = entry
        waiting = [position for position, entry in enumerate(entries) if entry is None]
        for entry in entries:
            if entry is not None:
                self._tick(not entry.problem, hit=True)
        self.store.make_room(len(waiting) * self.store.space.row_bytes)
        size = sum(states[position][1] for position in waiting if position in states)
        for place, decoded in self._decode([items[position].file for position in waiting], size):
            position = waiting[place]
            entries[position] = self._keep(items[position].file, decoded)
        self._report()
        return [entry for entry in entries if entry is not None]

    def arrays(self, arrays: Arrays) -> list[Entry]:
        """Like `files`, for images that are in memory already."""
        hashes = [array_sha256(image) for image in arrays.images]
        known = self.store.entries([*dict.fromkeys(hashes)])
        self.store.make_room(sum(sha256 not in known for sha256 in hashes) * self.store.space.row_bytes)
        entries = []
        for image, sha256 in zip(arrays.images, hashes, strict=True):
            found = known.get(sha256) or self.store.entry(sha256)
            entries.append(found or self.store.add(resize_array(image, self.geometry)))
            self._tick(True, hit=found is not None)
        self._report()
        return entries

    def _lookup(self, files: Sequence[FileState]) -> list[Entry | None]:
        """The entry of each file that has not changed since it was read; none is opened."""
        hashes = self.store.known(files)
        entries = self.store.entries([sha256 for sha256 in set(hashes) if sha256])
        return [entries.get(sha256) if sha256 else None for sha256 in hashes]

    def _decode(self, files: list[str], size: int) -> Iterator[tuple[int, Decoded]]:
        workers = min(self.compute.threads or usable_cores(), len(files))
        done: set[int] = set()
        if workers > 1 and len(files) * SECONDS_A_FILE + size * SECONDS_A_BYTE > SMALL_PASS_SECONDS:
            index = self.store.index.file if isinstance(self.store, DiskCache) else None
            try:
                for place, decoded in decode_files(files, self.geometry, workers=workers, index=index):
                    done.add(place)
                    yield place, decoded
            except WorkersUnavailableError as error:
                self.reporter.warning(f"no worker processes ({error}): images are read one after the other")
        for place, file in enumerate(files):
            if place not in done:
                yield place, decode_file(file, self.geometry, lambda sha256: self.store.entry(sha256) is not None)

    def _keep(self, file: str, decoded: Decoded) -> Entry:
        known = self.store.entry(decoded.sha256) if decoded.sha256 else None
        if known is None and decoded.pixels is None and not decoded.problem:
            decoded = decode_file(file, self.geometry)  # it was in the cache a moment ago, and is gone or damaged
        if not decoded.sha256:
            entry = Entry("", problem=decoded.problem)
        else:
            entry = known or self.store.add(decoded)
            self.store.remember(file, decoded)
        self._tick(not entry.problem, hit=known is not None)
        return entry

    def _tick(self, usable: bool, *, hit: bool) -> None:
        self.done += 1
        if usable:
            self.hits, self.misses = self.hits + hit, self.misses + (not hit)
        if self.done % 64 == 0:
            self._report()

    def _report(self) -> None:
        self.reporter.progress("ingest", self.done, self.total, "files")


def _state(file: str) -> FileState | None:
    """What tells whether a file has changed; None where there is none, or none can have this name."""
    try:
        info = os.stat(file)  # noqa: PTH116 - a Path for each of many files takes longer than asking
    except (OSError, ValueError):
        return None
    return file, info.st_size, info.st_mtime_ns


def _open_store(reading: Reading, total: int) -> Store:
    compute, wanted = reading.compute, total * pixel_space(reading.geometry).row_bytes
    if compute.cache == "off":
        return Scratch(reading.geometry)
    max_bytes = int(compute.cache_max_gb * 1e9)
    root = cache_root(compute)
    if wanted > max_bytes:
        reason = f"these images need {wanted / 1e9:.3f} GB and compute.cache_max_gb is {compute.cache_max_gb:g}"
    else:
        try:
            return DiskCache(root, reading.geometry, max_bytes)
        except (OSError, sqlite3.Error) as error:
            reason = f"the cache folder {str(root)!r} cannot be used: {error}"
    if compute.cache == "require":
        raise ConfigError(f"compute.cache is 'require', but {reason}", "set compute.cache_dir or compute.cache_max_gb")
    reading.reporter.warning(f"{reason}; images are decoded for this run only")
    return Scratch(reading.geometry)
