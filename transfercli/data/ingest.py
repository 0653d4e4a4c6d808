"""Ingest: one pass over all files that looks up unchanged ones and decodes the others in parallel."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

from transfercli.config.schema import ComputeConfig
from transfercli.data.archive_members import state_of
from transfercli.data.cache.images import DiskCache, Store, cache_root, pixel_space
from transfercli.data.cache.in_memory import MemoryCache
from transfercli.data.cache.index import Entry
from transfercli.data.cache.network_disk import warn_of_network_disk
from transfercli.data.cache.recheck import Recheck
from transfercli.data.cache.segments import RESERVED_SHARE, available_bytes
from transfercli.data.cache.stored_images import NoCache, stored_images
from transfercli.data.dataset import CacheCounts
from transfercli.data.decoding.decode import MAX_BYTES, array_sha256, decode_file, resize_array
from transfercli.data.decoding.pool import decode_files
from transfercli.data.decoding.worker_client import WorkersUnavailableError
from transfercli.data.image import Decoded, FileState, Geometry
from transfercli.data.remote.remote_files import RemoteFiles
from transfercli.data.sources.folders import Item
from transfercli.data.sources.keras_datasets import Arrays
from transfercli.errors import ConfigError, DiskError
from transfercli.io.cores import usable_cores
from transfercli.reporting import Reporter
from transfercli.rows import Rows
from transfercli.text import counted

# Estimated cost of decoding in one process (28x28 PNGs; 12-megapixel JPEGs). Starting workers takes about half a
# second, so a pass that is estimated to take less than SMALL_PASS_SECONDS runs in this process.
SECONDS_A_FILE = 3e-4
SECONDS_A_BYTE = 2e-8
SMALL_PASS_SECONDS = 1.0
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings for reading images.

    Attributes:
        max_bad_fraction: largest fraction of unreadable images accepted.
        recheck: sample of the unchanged files that are read again all the same; None: no file is.
        max_bad_name: key or option that sets it, for messages.
    """

    geometry: Geometry
    max_bad_fraction: float
    compute: ComputeConfig
    reporter: Reporter
    recheck: Recheck | None = None
    max_bad_name: str = "data.max_bad_fraction"


class Ingest:
    """Reader of files and arrays into one store, as a context manager; get the images after the block.

    If the pass is interrupted, images decoded so far stay in the cache.
    """

    def __init__(self, reading: Reading, total: int) -> None:
        self.geometry, self.compute, self.reporter = reading.geometry, reading.compute, reading.reporter
        self.recheck = reading.recheck
        self.store = _open_store(reading, total)
        self.remote = self._remote_files([])
        self.total, self.done = total, 0
        self.hits, self.misses = 0, 0

    def __enter__(self) -> Ingest:
        return self

    def __exit__(self, *error: object) -> None:
        self.store.close()
        if self.store.trouble:
            self.reporter.warning(f"images of this run are not kept in the image cache: {self.store.trouble}")

    @property
    def cache_folder(self) -> Path | None:
        """Folder of the shared cache, or None if this process does not use it."""
        return self.store.root if isinstance(self.store, DiskCache) else None

    @property
    def counts(self) -> CacheCounts:
        """Cache hits and misses so far."""
        return CacheCounts(self.hits, self.misses)

    def images(self, entries: Sequence[Entry], redo: Sequence[Callable[[], Decoded]]) -> Rows:
        """Return the pixels of entries without a problem; `redo` decodes an image again if the cache is damaged."""
        return stored_images(self.store, entries, redo)

    def files(self, items: Sequence[Item]) -> list[Entry]:
        """Read all files and return one entry per file, with its problem if there is one."""
        refused = {item.file: Entry("", problem=item.problem) for item in items if item.problem}
        named = [item.file for item in items if not item.problem]
        self.remote = self._remote_files(named)
        states = {file: self.remote.states.get(file) if file in self.remote.copies else _state(file) for file in named}
        present = {file: state for file, state in states.items() if state}
        known = self._lookup(present)
        if len(known) == len(present) or not isinstance(self.store, DiskCache):
            return self._entries(items, refused, states, known)
        with self.store.filling([*present], partial(self._report, "waiting for images of another process")):
            try:
                return self._entries(items, refused, states, self._lookup(present))
            finally:
                self.store.flush()

    def _entries(
        self,
        items: Sequence[Item],
        refused: Mapping[str, Entry],
        states: Mapping[str, FileState | None],
        known: Mapping[str, Entry],
    ) -> list[Entry]:
        """Return one entry per file: refused, known, or read now."""
        local = {file: entry for file, entry in known.items() if file not in self.remote.copies}
        sample = self.recheck.sample(local) if self.recheck else frozenset()
        unread = {file: entry for file, entry in known.items() if file not in sample}
        self.store.make_room((len(states) - len(known)) * self.store.space.row_bytes)
        for entry in (*refused.values(), *unread.values()):
            self._count(not entry.problem, hit=True)
        read = self._read({file: state for file, state in states.items() if file not in unread})
        differing = [file for file in sorted(sample) if read[file].sha256 not in ("", known[file].sha256)]
        if differing:
            names = {item.file: item.name for item in items}
            self.reporter.warning(_differing_text([names[file] for file in differing], len(sample)))
            self.done, self.hits = self.done - len(unread), self.hits - sum(not e.problem for e in unread.values())
            read |= self._read({file: states[file] for file in unread})
            unread = {}
        found = {**refused, **unread, **read}
        self.done += len(items) - len(found)  # files that are listed for two splits are read once
        self._report()
        return [found[item.file] for item in items]

    def _read(self, states: Mapping[str, FileState | None]) -> dict[str, Entry]:
        """Read files, given with their states, and return the entry of each."""
        files = [*states]
        size = sum(state.size for state in states.values() if state)
        return {files[index]: self._keep(files[index], decoded) for index, decoded in self._decode(files, size)}

    def decode_again(self, file: str) -> Decoded:
        """Decode a file of this pass again, after fetching it if it is remote and its copy had to give way."""
        return decode_file(self.remote.fetch(file), self.geometry)

    def arrays(self, arrays: Arrays) -> list[Entry]:
        """Add images that are in memory and return one entry per image."""
        hashes = [array_sha256(image) for image in arrays.images]
        known = self.store.entries([*dict.fromkeys(hashes)])
        self.store.make_room(sum(sha256 not in known for sha256 in hashes) * self.store.space.row_bytes)
        entries = []
        for image, sha256 in zip(arrays.images, hashes, strict=True):
            entry = known.get(sha256) or self.store.entry(sha256)
            entries.append(entry or self.store.add(resize_array(image, self.geometry)))
            self._count(True, hit=entry is not None)
        self._report()
        return entries

    def _lookup(self, states: Mapping[str, FileState]) -> dict[str, Entry]:
        """Return the entry of each file that is unchanged since it was read, without opening it."""
        hashes = self.store.known([(self.remote.key(file), state) for file, state in states.items()])
        entries = self.store.entries([sha256 for sha256 in set(hashes) if sha256])
        return {file: entries[sha256] for file, sha256 in zip(states, hashes, strict=True) if sha256 in entries}

    def _decode(self, files: list[str], size: int) -> Iterator[tuple[int, Decoded]]:
        """Yield (index into `files`, result); `size` is the total size of the files in bytes."""
        if self.remote.objects.isdisjoint(files):
            yield from self._decode_arriving(files, size, iter(enumerate(files)), lambda: None)
            return
        with closing(self.remote.arriving(files, self._room_for_copies(len(files)))) as arrivals:
            arrived = set[int]()
            for number, decoded in self._decode_arriving(files, size, arrivals, arrivals.close):
                arrived.add(number)
                yield number, decoded
            for number in sorted({*range(len(files))} - arrived):
                yield number, Decoded(problem=arrivals.problems.get(files[number], "cannot be fetched"))

    def _remote_files(self, files: Sequence[str]) -> RemoteFiles:
        limit = int(self.compute.cache_max_gb * 1e9)
        return RemoteFiles(files, cache_root(self.compute), limit, MAX_BYTES, self._report)

    def _room_for_copies(self, images: int) -> int:
        """Return the bytes that the limit of the caches leaves for local copies, beside pixels and `images` more."""
        pixels = 0
        if isinstance(self.store, DiskCache):
            stored = sum(size for _, _, size in self.store.index.segments())
            pixels = stored + images * self.store.space.row_bytes
        return int(self.compute.cache_max_gb * 1e9) - pixels

    def _decode_arriving(
        self, files: list[str], size: int, arriving: Iterator[tuple[int, str]], stop: Callable[[], None]
    ) -> Iterator[tuple[int, Decoded]]:
        """Yield (index into `files`, result) of the files that arrive; `stop` ends the waiting for them."""
        workers = min(self.compute.threads or usable_cores(), len(files))
        handed = list[tuple[int, str]]()
        done: set[int] = set()
        if workers > 1 and len(files) * SECONDS_A_FILE + size * SECONDS_A_BYTE > SMALL_PASS_SECONDS:
            index = self.store.index.file if isinstance(self.store, DiskCache) else None
            try:
                source = _noted(arriving, handed)
                for number, decoded in decode_files(files, self.geometry, workers, index, source, stop):
                    done.add(number)
                    yield number, decoded
            except WorkersUnavailableError as error:
                self.reporter.warning(
                    f"worker processes cannot be used ({error}): images are decoded one after the other"
                )
        for number, file in chain(handed, arriving):
            if number not in done:
                yield number, decode_file(file, self.geometry, lambda sha256: self.store.entry(sha256) is not None)

    def _keep(self, file: str, decoded: Decoded) -> Entry:
        known = self.store.entry(decoded.sha256) if decoded.sha256 else None
        if known is None and decoded.pixels is None and not decoded.problem:
            decoded = self.decode_again(file)  # its cache entry disappeared or is damaged
        elif not decoded.sha256 and file in self.remote.states:
            decoded = self.decode_again(file)  # another process may have emptied the copy
        self.remote.used(file)
        if not decoded.sha256:
            entry = Entry("", problem=decoded.problem)
        else:
            entry = known or self.store.add(decoded)
            if file not in self.remote.copies:
                self.store.remember(file, decoded)
            elif file in self.remote.states:
                self.store.remember(self.remote.key(file), replace(decoded, state=self.remote.states[file]))
        self._count(not entry.problem, hit=known is not None)
        return entry

    def _count(self, usable: bool, *, hit: bool) -> None:
        self.done += 1
        if usable:
            self.hits, self.misses = self.hits + hit, self.misses + (not hit)
        if self.done % 64 == 0:
            self._report()

    def _report(self, stage: str = "ingest") -> None:
        self.reporter.progress(stage, self.done, self.total, "files")


def _noted(arriving: Iterator[tuple[int, str]], handed: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Yield what arrives, and append it to `handed`."""
    for pair in arriving:
        handed.append(pair)
        yield pair


def _state(file: str) -> FileState | None:
    """Return the state of a file; None if it does not exist or the name is impossible."""
    try:
        return state_of(file)
    except (OSError, ValueError):
        return None


def _differing_text(differing: Sequence[str], count: int) -> str:
    """Return the warning about files that changed without a change of their state, out of `count`."""
    first = ", ".join(repr(file) for file in differing[:_LISTED])
    return (
        f"{len(differing)} of {counted(count, 'unchanged file')} drawn to be read again had other bytes than the cache"
        f" recorded for the same size, times and inode: {first}; all files are read again (check the disk and the file"
        " system)"
    )


def _open_store(reading: Reading, total: int) -> Store:
    """Return the image cache; or, if it is off or has no room for `total` images, a store for this run alone."""
    compute, wanted = reading.compute, total * pixel_space(reading.geometry).row_bytes
    if compute.cache == "off":
        return _store_for_this_run(reading, wanted, "compute.cache is off")
    max_bytes = int(compute.cache_max_gb * 1e9)
    root = cache_root(compute)
    needed = f"these images need {wanted / 1e9:.3f} GB and"
    if wanted > max_bytes:
        reason = f"{needed} compute.cache_max_gb is {compute.cache_max_gb:g}"
    else:
        try:
            available = available_bytes(root, max_bytes)
            if wanted <= available:
                warn_of_network_disk(root, reading.reporter)
                return DiskCache(root, reading.geometry, available)
            reason = f"{needed} the disk has room for {available / 1e9:.3f} GB in the cache folder {str(root)!r}"
            if compute.cache == "require":
                raise DiskError(
                    f"compute.cache is 'require', but {reason}",
                    "free disk space, set compute.cache_dir to a folder on a larger disk, or compute.cache to auto",
                )
        except (OSError, sqlite3.Error) as error:
            reason = f"the cache folder {str(root)!r} cannot be used: {error}"
    if compute.cache == "require":
        raise ConfigError(f"compute.cache is 'require', but {reason}", "set compute.cache_dir or compute.cache_max_gb")
    store = _store_for_this_run(reading, wanted, reason)
    if not isinstance(store, NoCache):
        reading.reporter.warning(f"{reason}; images are decoded for this run only")
    return store


def _store_for_this_run(reading: Reading, wanted: int, reason: str) -> Store:
    """Return a temporary file for the images; if it has no room for them either, warn and keep none."""
    try:
        free = shutil.disk_usage(tempfile.gettempdir()).free
    except OSError:  # without a temporary folder, they are kept in memory
        return MemoryCache(reading.geometry)
    if wanted <= free * (1 - RESERVED_SHARE):
        return MemoryCache(reading.geometry)
    reading.reporter.warning(
        f"{reason}, and the temporary folder has {free / 1e9:.3f} GB free: images are decoded again each time they are"
        " read, which is slow (a larger disk for compute.cache_dir avoids it)"
    )
    return NoCache(reading.geometry)
